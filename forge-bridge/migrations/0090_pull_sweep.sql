-- What a look at the open pull requests of a repository left, beside that of its branches.

-- when they were listed last; NULL before the first time
ALTER TABLE watched_repositories ADD COLUMN pulls_swept_at INTEGER;
-- the newest event that was compared
ALTER TABLE watched_repositories ADD COLUMN pulls_up_to INTEGER NOT NULL DEFAULT 0;
-- the forge's name of the list as `watched_pulls` has it; NULL when it has none or something waits
ALTER TABLE watched_repositories ADD COLUMN pulls_etag TEXT;
-- why the last list failed; empty when it did not
ALTER TABLE watched_repositories ADD COLUMN pulls_reason TEXT NOT NULL DEFAULT '';

CREATE TABLE watched_pulls (
    forge        TEXT NOT NULL,
    repository   TEXT NOT NULL,
    number       INTEGER NOT NULL,
    -- NULL when it was not open
    head         TEXT,
    -- what nobody has told of yet, as JSON: workflows::sweep::Missed
    missed       TEXT,
    PRIMARY KEY (forge, repository, number)
);
