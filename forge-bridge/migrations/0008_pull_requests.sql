-- Pull requests as they stand, and who let which of their heads run.

CREATE TABLE pull_requests (
    forge       TEXT NOT NULL,
    repository  TEXT NOT NULL,
    number      INTEGER NOT NULL,
    -- workflows::event::PullRequest, as its newest head was told
    pull        TEXT NOT NULL,
    head        TEXT NOT NULL,
    -- the event that told the head: what was said before it was said of another one
    head_event  INTEGER NOT NULL,
    -- open, closed, merged
    state       TEXT NOT NULL DEFAULT 'open',
    changed_at  INTEGER NOT NULL,
    PRIMARY KEY (forge, repository, number)
);

-- An approval is of one head and of nothing else.
CREATE TABLE approvals (
    forge       TEXT NOT NULL,
    repository  TEXT NOT NULL,
    number      INTEGER NOT NULL,
    head        TEXT NOT NULL,
    approver    TEXT NOT NULL,
    -- comment, command
    way         TEXT NOT NULL,
    approved_at INTEGER NOT NULL,
    PRIMARY KEY (forge, repository, number, head)
);

-- Of the run of a pull request: its number, and the head, where its statuses stand although the
-- merge result may be what is built.
ALTER TABLE runs ADD COLUMN pull_number INTEGER;
ALTER TABLE runs ADD COLUMN head_commit TEXT;
CREATE INDEX runs_by_pull ON runs (forge, repository, pull_number, id)
    WHERE pull_number IS NOT NULL;

-- Answers to comments. One that was begun and not finished may be on the forge or not; it is not
-- sent again.
CREATE TABLE replies (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id    INTEGER NOT NULL UNIQUE REFERENCES events (id),
    forge       TEXT NOT NULL,
    repository  TEXT NOT NULL,
    number      INTEGER NOT NULL,
    body        TEXT NOT NULL,
    -- waiting, begun, told, refused
    state       TEXT NOT NULL DEFAULT 'waiting',
    tries       INTEGER NOT NULL DEFAULT 0,
    due_at      INTEGER NOT NULL DEFAULT 0,
    reason      TEXT
);
CREATE INDEX replies_waiting ON replies (due_at, id) WHERE state = 'waiting';
CREATE INDEX replies_by_pull ON replies (forge, repository, number);
