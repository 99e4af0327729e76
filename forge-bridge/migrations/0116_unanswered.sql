-- What was sent to a forge, and nobody knows whether it arrived.

-- the number of the oldest words whose post began and was never answered: they may still arrive,
-- after newer ones; NULL for none
ALTER TABLE statuses ADD COLUMN unanswered INTEGER;
-- when the newest words are told once more, so that they are what stays; NULL for not at all
ALTER TABLE statuses ADD COLUMN again_at INTEGER;
CREATE INDEX statuses_again ON statuses (again_at) WHERE again_at IS NOT NULL;

CREATE INDEX replies_begun ON replies (id) WHERE state = 'begun';
-- stands hidden in the text of an answer, so that the forge can be asked whether it has it
ALTER TABLE replies ADD COLUMN marker TEXT NOT NULL DEFAULT '';
UPDATE replies SET marker = lower(hex(randomblob(16))) WHERE state = 'waiting';
-- when the first post began that was never answered: the forge may have it
ALTER TABLE replies ADD COLUMN unsure_since INTEGER;
