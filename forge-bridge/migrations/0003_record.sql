-- What a runner said of an attempt, until its job ends and the record is written.
CREATE TABLE attempt_facts (
    job_id      INTEGER NOT NULL REFERENCES jobs (id),
    attempt     INTEGER NOT NULL,
    log_path    TEXT,
    log_bytes   INTEGER,
    log_sha256  TEXT,
    -- workflows::evidence::BuildEvidence
    evidence    TEXT,
    PRIMARY KEY (job_id, attempt)
);

-- When a runner took the attempt that is shown; started_at is the first attempt's.
ALTER TABLE jobs ADD COLUMN leased_at INTEGER;

-- One row for each layered build that is over: never changed, never deleted.
CREATE TABLE build_records (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id      INTEGER NOT NULL UNIQUE REFERENCES jobs (id),
    run_id      INTEGER NOT NULL REFERENCES runs (id),
    job         TEXT NOT NULL,
    nvr         TEXT,
    outcome     TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    -- workflows::record::BuildRecord
    record      TEXT NOT NULL
);
CREATE INDEX build_records_by_nvr ON build_records (nvr, id) WHERE nvr IS NOT NULL;
CREATE INDEX build_records_by_run ON build_records (run_id, id);

-- What happened to an image beside its record: tags put, tags given up, documents attached.
CREATE TABLE record_events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id      INTEGER NOT NULL REFERENCES jobs (id),
    at          INTEGER NOT NULL,
    -- tag_put, tag_forgone, attached
    kind        TEXT NOT NULL,
    -- the tag, or the document
    subject     TEXT NOT NULL,
    digest      TEXT NOT NULL
);
CREATE INDEX record_events_by_job ON record_events (job_id, id);

-- REPLACE deletes without asking the triggers of DELETE, so a number that is taken is refused too.
CREATE TRIGGER build_records_no_update BEFORE UPDATE ON build_records
BEGIN SELECT RAISE(ABORT, 'build records are append-only'); END;
CREATE TRIGGER build_records_no_delete BEFORE DELETE ON build_records
BEGIN SELECT RAISE(ABORT, 'build records are append-only'); END;
CREATE TRIGGER build_records_no_replace BEFORE INSERT ON build_records
WHEN EXISTS (SELECT 1 FROM build_records WHERE job_id = NEW.job_id OR id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'build records are append-only'); END;
CREATE TRIGGER record_events_no_update BEFORE UPDATE ON record_events
BEGIN SELECT RAISE(ABORT, 'record events are append-only'); END;
CREATE TRIGGER record_events_no_delete BEFORE DELETE ON record_events
BEGIN SELECT RAISE(ABORT, 'record events are append-only'); END;
CREATE TRIGGER record_events_no_replace BEFORE INSERT ON record_events
WHEN EXISTS (SELECT 1 FROM record_events WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'record events are append-only'); END;

-- Documents that an image is to have beside it in its registry; `digest` and `attached_at` are
-- there once it has.
CREATE TABLE attachments (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id      INTEGER NOT NULL REFERENCES jobs (id),
    -- workflows::record::ExportForm
    form        TEXT NOT NULL,
    tries       INTEGER NOT NULL DEFAULT 0,
    due_at      INTEGER NOT NULL DEFAULT 0,
    message     TEXT NOT NULL DEFAULT '',
    digest      TEXT,
    attached_at INTEGER,
    -- why nobody tries any more
    refusal     TEXT,
    UNIQUE (job_id, form)
);
CREATE INDEX attachments_due ON attachments (due_at, id)
    WHERE attached_at IS NULL AND refusal IS NULL;
