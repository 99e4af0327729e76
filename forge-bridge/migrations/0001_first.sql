-- Times are seconds since the epoch, words are those of workflows::state, JSON is text.
-- Append-only: a later change is a new file, and NOT NULL comes with a DEFAULT there.

-- A webhook request as received. `identity` is the second key: see Event::identity.
CREATE TABLE deliveries (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    forge       TEXT NOT NULL,
    delivery    TEXT NOT NULL,
    event_name  TEXT NOT NULL,
    headers     TEXT NOT NULL,
    body        BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    -- waiting, decoded: two words of one length, so that SQLite changes the row where it is
    -- instead of writing the body's pages once more.
    state       TEXT NOT NULL DEFAULT 'waiting',
    UNIQUE (forge, delivery)
);
CREATE INDEX deliveries_undone ON deliveries (id) WHERE state = 'waiting';

-- What a delivery or a tick means. One delivery is one event.
CREATE TABLE events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    forge       TEXT NOT NULL,
    delivery_id INTEGER UNIQUE REFERENCES deliveries (id),
    kind        TEXT NOT NULL,
    repository  TEXT,
    identity    TEXT,
    event       TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    -- new: to be planned; planned: has runs; skipped: no run, `reason` says why;
    -- duplicate: `reason` names the first event of the same identity.
    state       TEXT NOT NULL DEFAULT 'new',
    reason      TEXT,
    attempts    INTEGER NOT NULL DEFAULT 0,
    due_at      INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX events_identity ON events (forge, identity)
    WHERE identity IS NOT NULL AND state <> 'duplicate';
CREATE INDEX events_undone ON events (due_at, id) WHERE state = 'new';

-- Which workflow files an event looked at and did not fire, so that "why not" has an answer.
CREATE TABLE skipped_workflows (
    event_id    INTEGER NOT NULL REFERENCES events (id),
    path        TEXT NOT NULL,
    reason      TEXT NOT NULL
);
CREATE INDEX skipped_workflows_event ON skipped_workflows (event_id);

CREATE TABLE runs (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id      INTEGER NOT NULL REFERENCES events (id),
    forge         TEXT NOT NULL,
    repository    TEXT NOT NULL,
    ref_name      TEXT NOT NULL,
    commit_id     TEXT NOT NULL,
    fetch_ref     TEXT NOT NULL,
    release       TEXT NOT NULL,
    cause         TEXT NOT NULL,
    trust         TEXT NOT NULL,
    workflow      TEXT NOT NULL,
    workflow_path TEXT NOT NULL,
    -- repository, or operator for a release's default workflow
    workflow_origin TEXT NOT NULL,
    workflow_blob TEXT NOT NULL,
    workflow_text TEXT NOT NULL,
    state         TEXT NOT NULL,
    outcome       TEXT,
    message       TEXT NOT NULL DEFAULT '',
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    finished_at   INTEGER
);
CREATE INDEX runs_by_repository ON runs (forge, repository, id);
CREATE INDEX runs_unfinished ON runs (id) WHERE state <> 'finished';
CREATE UNIQUE INDEX runs_once ON runs (event_id, workflow_origin, workflow_path);

CREATE TABLE jobs (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id        INTEGER NOT NULL REFERENCES runs (id),
    name          TEXT NOT NULL,
    -- of its commit status
    context       TEXT NOT NULL,
    needs         TEXT NOT NULL DEFAULT '[]',
    runs_on       TEXT NOT NULL DEFAULT '[]',
    -- rises in importance: 0 scheduled, 1 pull request, 2 push
    priority      INTEGER NOT NULL DEFAULT 0,
    -- workflows::plan::JobDraft, as the workflow file says
    draft         TEXT NOT NULL,
    -- workflows::job::JobSpec, once everything is pinned
    spec          TEXT,
    state         TEXT NOT NULL,
    outcome       TEXT,
    fault         TEXT,
    message       TEXT NOT NULL DEFAULT '',
    attempt       INTEGER NOT NULL DEFAULT 0,
    fence         INTEGER NOT NULL DEFAULT 0,
    runner_id     INTEGER,
    lease_request TEXT,
    lease_expires_at INTEGER,
    cancel        INTEGER NOT NULL DEFAULT 0,
    -- when the pinner, the queue or the promotion may take it next
    due_at        INTEGER NOT NULL DEFAULT 0,
    tries         INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL,
    queued_at     INTEGER,
    started_at    INTEGER,
    finished_at   INTEGER,
    UNIQUE (run_id, name)
);
CREATE INDEX jobs_by_state ON jobs (state, due_at, id) WHERE state <> 'finished';
CREATE INDEX jobs_queue ON jobs (priority DESC, id) WHERE state = 'queued';
CREATE INDEX jobs_by_lease ON jobs (runner_id, lease_request) WHERE lease_request IS NOT NULL;

CREATE TABLE steps (
    job_id      INTEGER NOT NULL REFERENCES jobs (id),
    attempt     INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    name        TEXT NOT NULL,
    log_offset  INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    outcome     TEXT,
    PRIMARY KEY (job_id, attempt, position)
);

CREATE TABLE pins (
    job_id      INTEGER NOT NULL REFERENCES jobs (id),
    position    INTEGER NOT NULL,
    written     TEXT NOT NULL,
    reference   TEXT NOT NULL,
    digest      TEXT NOT NULL,
    PRIMARY KEY (job_id, position)
);

-- An NVR is reserved before the build and free again when the build did not succeed.
CREATE TABLE nvrs (
    job_id      INTEGER PRIMARY KEY REFERENCES jobs (id),
    name        TEXT NOT NULL,
    version     TEXT NOT NULL,
    release     TEXT NOT NULL,
    -- put behind the release number when the number was ours to choose
    dist_tag    TEXT NOT NULL DEFAULT '',
    -- reserved, complete, free
    state       TEXT NOT NULL
);
CREATE UNIQUE INDEX nvrs_taken ON nvrs (name, version, release) WHERE state <> 'free';

CREATE TABLE images (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id      INTEGER NOT NULL UNIQUE REFERENCES jobs (id),
    release     TEXT NOT NULL,
    reference   TEXT NOT NULL,
    registry    TEXT NOT NULL,
    repository  TEXT NOT NULL,
    digest      TEXT NOT NULL,
    size_bytes  INTEGER NOT NULL,
    mode        TEXT NOT NULL,
    nvr         TEXT,
    created_at  INTEGER NOT NULL
);
CREATE INDEX images_by_name ON images (registry, repository, id);

CREATE TABLE image_tags (
    image_id    INTEGER NOT NULL REFERENCES images (id),
    -- unique, primary, floating
    class       TEXT NOT NULL,
    tag         TEXT NOT NULL,
    put_at      INTEGER,
    PRIMARY KEY (image_id, tag)
);

-- Desired and reported are two columns each; the reporter narrows the gap.
CREATE TABLE statuses (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    forge         TEXT NOT NULL,
    repository    TEXT NOT NULL,
    commit_id     TEXT NOT NULL,
    context       TEXT NOT NULL,
    run_id        INTEGER NOT NULL REFERENCES runs (id),
    state         TEXT NOT NULL,
    description   TEXT NOT NULL,
    target_url    TEXT NOT NULL,
    desired       INTEGER NOT NULL DEFAULT 1,
    reported      INTEGER NOT NULL DEFAULT 0,
    attempts      INTEGER NOT NULL DEFAULT 0,
    due_at        INTEGER NOT NULL DEFAULT 0,
    -- a forge's final no, kept until somebody retries by hand
    refusal       TEXT,
    changed_at    INTEGER NOT NULL,
    reported_at   INTEGER,
    UNIQUE (forge, repository, commit_id, context)
);
CREATE INDEX statuses_behind ON statuses (due_at, id) WHERE reported < desired AND refusal IS NULL;

CREATE TABLE schedules (
    forge         TEXT NOT NULL,
    repository    TEXT NOT NULL,
    ref_name      TEXT NOT NULL,
    workflow_origin TEXT NOT NULL,
    workflow_path TEXT NOT NULL,
    cron          TEXT NOT NULL,
    timezone      TEXT NOT NULL,
    next_at       INTEGER NOT NULL,
    last_at       INTEGER,
    tries         INTEGER NOT NULL DEFAULT 0,
    due_at        INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (forge, repository, ref_name, workflow_origin, workflow_path, cron, timezone)
);
CREATE INDEX schedules_due ON schedules (next_at);

CREATE TABLE runners (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT NOT NULL UNIQUE,
    credential_sha256 TEXT NOT NULL UNIQUE,
    labels        TEXT NOT NULL,
    slots         INTEGER NOT NULL,
    version       TEXT NOT NULL,
    registered_at INTEGER NOT NULL,
    seen_at       INTEGER NOT NULL
);
