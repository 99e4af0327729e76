-- Scratch builds are not kept for ever: what became of the tag of each whose time is over.

CREATE TABLE removals (
    image_id    INTEGER PRIMARY KEY REFERENCES images (id),
    -- closed: its pull request is over; age: nobody wanted it for that long
    cause       TEXT NOT NULL,
    -- due, done, kept, refused
    state       TEXT NOT NULL DEFAULT 'due',
    tries       INTEGER NOT NULL DEFAULT 0,
    due_at      INTEGER NOT NULL DEFAULT 0,
    -- why it is not done
    message     TEXT NOT NULL DEFAULT '',
    asked_at    INTEGER NOT NULL,
    ended_at    INTEGER
);
CREATE INDEX removals_due ON removals (due_at, image_id) WHERE state = 'due';

-- when the registry was last seen without it
ALTER TABLE image_tags ADD COLUMN removed_at INTEGER;

CREATE INDEX images_scratch ON images (created_at, id) WHERE mode = 'scratch';
CREATE INDEX images_by_digest ON images (registry, repository, digest);
