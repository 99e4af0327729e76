-- What no forge delivered: the branches of watched repositories, compared with what was told.

-- forge: a webhook; sweep: made up of a look at the branches, and its body is an event of ours.
ALTER TABLE deliveries ADD COLUMN source TEXT NOT NULL DEFAULT 'forge';

CREATE INDEX events_by_repository ON events (forge, repository, id);

CREATE TABLE watched_repositories (
    forge        TEXT NOT NULL,
    repository   TEXT NOT NULL,
    -- the forge's own id of it, which a rename keeps; NULL where it has none or has not said it
    forge_id     TEXT,
    -- when its branches were listed last; NULL before the first time
    swept_at     INTEGER,
    -- the newest event that was compared
    events_up_to INTEGER NOT NULL DEFAULT 0,
    -- when the forge was asked last which of its deliveries failed
    redelivered_at INTEGER NOT NULL DEFAULT 0,
    tries        INTEGER NOT NULL DEFAULT 0,
    due_at       INTEGER NOT NULL DEFAULT 0,
    -- why the last look failed; empty when it did not
    reason       TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (forge, repository)
);
CREATE INDEX watched_repositories_due ON watched_repositories (due_at);
CREATE INDEX watched_repositories_by_id ON watched_repositories (forge, forge_id)
    WHERE forge_id IS NOT NULL;

CREATE TABLE watched_branches (
    forge        TEXT NOT NULL,
    repository   TEXT NOT NULL,
    ref_name     TEXT NOT NULL,
    -- NULL when it was not there
    head         TEXT,
    -- what nobody has told of yet, as JSON: workflows::sweep::Missed
    missed       TEXT,
    PRIMARY KEY (forge, repository, ref_name)
);

-- Repositories that sent something are watched from now on.
INSERT INTO watched_repositories (forge, repository)
SELECT DISTINCT forge, repository FROM events
WHERE repository IS NOT NULL AND kind IN ('push', 'branch_created', 'pull_request');
