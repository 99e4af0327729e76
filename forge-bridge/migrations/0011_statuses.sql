-- What a forge was told last, and what was said in another way.

-- the state that the forge took last; NULL before the first
ALTER TABLE statuses ADD COLUMN told_state TEXT;
-- the run whose end was told in a comment, because the forge refused the status
ALTER TABLE statuses ADD COLUMN commented_run INTEGER;

-- Before the newest words of a context there are only pending ones.
UPDATE statuses SET told_state = CASE WHEN reported >= desired THEN state ELSE 'pending' END
WHERE reported > 0;

CREATE INDEX statuses_refused ON statuses (id) WHERE refusal IS NOT NULL;
