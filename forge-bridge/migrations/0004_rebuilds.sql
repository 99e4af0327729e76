-- Rebuilds: what the current images stand on, what the registries say of it, and what is done.

-- parent or builder; NULL for the image of a step, and for rows older than this column.
ALTER TABLE pins ADD COLUMN kind TEXT;
-- index or manifest; NULL for rows older than this column, which are never compared.
ALTER TABLE pins ADD COLUMN form TEXT;
-- Digest over the diff ids of the layers, where the runner told them.
ALTER TABLE images ADD COLUMN content TEXT;

-- What the newest release build of each job of a branch left: its place in the graph.
CREATE TABLE image_nodes (
    forge           TEXT NOT NULL,
    repository      TEXT NOT NULL,
    ref_name        TEXT NOT NULL,
    workflow_origin TEXT NOT NULL,
    workflow_path   TEXT NOT NULL,
    job_name        TEXT NOT NULL,
    release         TEXT NOT NULL,
    job_id          INTEGER NOT NULL REFERENCES jobs (id),
    commit_id       TEXT NOT NULL,
    -- workflows::rebuild::Parent and Name, as JSON lists
    parents         TEXT NOT NULL,
    names           TEXT NOT NULL,
    autorebuild     INTEGER,
    fixed_release   TEXT,
    from_latest     INTEGER,
    content         TEXT,
    built_at        INTEGER NOT NULL,
    PRIMARY KEY (forge, repository, ref_name, workflow_origin, workflow_path, job_name)
);

-- What people and failures say of a branch's rebuilds; a branch without a row is free.
CREATE TABLE rebuild_controls (
    forge      TEXT NOT NULL,
    repository TEXT NOT NULL,
    ref_name   TEXT NOT NULL,
    held       TEXT,
    -- failures since the last success, on the parents in `tried`
    attempts   INTEGER NOT NULL DEFAULT 0,
    failed_at  INTEGER,
    reason     TEXT NOT NULL DEFAULT '',
    tried      TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (forge, repository, ref_name)
);

-- Each reference whose digest decides whether something is stale, once.
CREATE TABLE watched_references (
    reference  TEXT PRIMARY KEY,
    repository TEXT NOT NULL,
    tag        TEXT NOT NULL,
    -- names of the releases whose images follow it, as a JSON list
    releases   TEXT NOT NULL,
    -- what it named when the registry last said so, and since when
    form       TEXT,
    digest     TEXT,
    since      INTEGER,
    etag       TEXT,
    -- unasked, found, missing, failed
    answer     TEXT NOT NULL DEFAULT 'unasked',
    reason     TEXT NOT NULL DEFAULT '',
    asked_at   INTEGER,
    tries      INTEGER NOT NULL DEFAULT 0,
    due_at     INTEGER NOT NULL DEFAULT 0,
    -- rises with every hint that it moved, so that one that comes during a question is not lost
    hints      INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX watched_due ON watched_references (due_at);
CREATE INDEX watched_by_name ON watched_references (repository, tag);

-- Every digest that a watched reference was seen with; NULL when it was gone. Append-only.
CREATE TABLE reference_history (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    reference TEXT NOT NULL,
    form      TEXT,
    digest    TEXT,
    seen_at   INTEGER NOT NULL
);
CREATE INDEX reference_history_of ON reference_history (reference, id);

-- From the first stale image until nothing is left to build.
CREATE TABLE waves (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER
);
CREATE UNIQUE INDEX waves_open ON waves (finished_at IS NULL) WHERE finished_at IS NULL;

CREATE TABLE rebuilds (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    wave_id     INTEGER NOT NULL REFERENCES waves (id),
    forge       TEXT NOT NULL,
    repository  TEXT NOT NULL,
    ref_name    TEXT NOT NULL,
    event_id    INTEGER UNIQUE REFERENCES events (id),
    -- workflows::rebuild::Tried, as a JSON list: the parents that moved
    tried       TEXT NOT NULL,
    because     TEXT NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    outcome     TEXT,
    reason      TEXT NOT NULL DEFAULT ''
);
-- One at a time for each branch, whatever is planned twice.
CREATE UNIQUE INDEX rebuilds_open ON rebuilds (forge, repository, ref_name)
    WHERE finished_at IS NULL;
CREATE INDEX rebuilds_of_wave ON rebuilds (wave_id);
CREATE INDEX rebuilds_lately ON rebuilds (started_at);

-- Whether anything changed since the last plan: each change raises the generation in its own
-- transaction, so that no place in the program can forget to.
CREATE TABLE rebuild_clock (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    generation INTEGER NOT NULL DEFAULT 1,
    planned    INTEGER NOT NULL DEFAULT 0,
    -- when to plan again all the same: a pause or a freeze ends
    due_at     INTEGER NOT NULL DEFAULT 0,
    -- what the last plan found: images that stand on what moved, and since when the first of them
    stale      INTEGER NOT NULL DEFAULT 0,
    stale_since INTEGER
);
INSERT INTO rebuild_clock (id) VALUES (1);
CREATE TRIGGER rebuild_clock_node_new AFTER INSERT ON image_nodes
    BEGIN UPDATE rebuild_clock SET generation = generation + 1; END;
CREATE TRIGGER rebuild_clock_node AFTER UPDATE ON image_nodes
    BEGIN UPDATE rebuild_clock SET generation = generation + 1; END;
CREATE TRIGGER rebuild_clock_node_gone AFTER DELETE ON image_nodes
    BEGIN UPDATE rebuild_clock SET generation = generation + 1; END;
CREATE TRIGGER rebuild_clock_control_new AFTER INSERT ON rebuild_controls
    BEGIN UPDATE rebuild_clock SET generation = generation + 1; END;
CREATE TRIGGER rebuild_clock_control AFTER UPDATE ON rebuild_controls
    BEGIN UPDATE rebuild_clock SET generation = generation + 1; END;
CREATE TRIGGER rebuild_clock_answer AFTER UPDATE OF digest, answer ON watched_references
    WHEN NEW.digest IS NOT OLD.digest OR NEW.answer <> OLD.answer
    BEGIN UPDATE rebuild_clock SET generation = generation + 1; END;
CREATE TRIGGER rebuild_clock_run AFTER UPDATE OF state ON runs
    WHEN NEW.state = 'finished' AND OLD.state <> 'finished'
    BEGIN UPDATE rebuild_clock SET generation = generation + 1; END;
CREATE TRIGGER rebuild_clock_rebuild AFTER UPDATE OF finished_at ON rebuilds
    BEGIN UPDATE rebuild_clock SET generation = generation + 1; END;

-- Images of before: their digests are known, but not of what form they are, so that they are in
-- the graph and never found stale until they are built once more.
INSERT INTO image_nodes (forge, repository, ref_name, workflow_origin, workflow_path, job_name,
    release, job_id, commit_id, parents, names, built_at)
SELECT runs.forge, runs.repository, runs.ref_name, runs.workflow_origin, runs.workflow_path,
    jobs.name, images.release, jobs.id, runs.commit_id,
    (SELECT json_group_array(json_object('reference', pins.reference, 'kind', 'parent'))
        FROM pins WHERE pins.job_id = jobs.id),
    (SELECT json_group_array(json_object('candidate',
            images.registry || '/' || images.repository || ':' || image_tags.tag))
        FROM image_tags WHERE image_tags.image_id = images.id
        AND class = 'floating' AND put_at IS NOT NULL),
    images.created_at
FROM images JOIN jobs ON jobs.id = images.job_id JOIN runs ON runs.id = jobs.run_id
WHERE images.mode = 'release' AND jobs.outcome = 'success' AND images.id = (
    SELECT max(newest.id) FROM images AS newest JOIN jobs AS j ON j.id = newest.job_id
    JOIN runs AS r ON r.id = j.run_id
    WHERE newest.mode = 'release' AND j.outcome = 'success' AND r.forge = runs.forge
    AND r.repository = runs.repository AND r.ref_name = runs.ref_name
    AND r.workflow_origin = runs.workflow_origin AND r.workflow_path = runs.workflow_path
    AND j.name = jobs.name);
