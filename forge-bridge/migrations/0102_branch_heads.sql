-- Where an event leaves its branch: what is told again, and what came back, is seen by it.

-- NULL for events that are about no branch
ALTER TABLE events ADD COLUMN moved_ref TEXT;
-- NULL when the branch is gone
ALTER TABLE events ADD COLUMN moved_to TEXT;
-- the event in whose words it is told, while the branch was elsewhere; only the forge can tell
-- whether it is back there
ALTER TABLE events ADD COLUMN repeats INTEGER;

UPDATE events SET moved_ref = event ->> 'ref', moved_to = event ->> 'after'
WHERE kind = 'branch_deleted'
   OR kind IN ('push', 'branch_created') AND event ->> 'after' IS NOT NULL;

CREATE INDEX events_by_branch ON events (forge, repository, moved_ref, id)
    WHERE moved_ref IS NOT NULL AND state <> 'duplicate';
