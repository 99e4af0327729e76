-- What a run knows of itself, so that its jobs can be drafted and evaluated later than it is
-- planned, stopped, and asked for again.

-- Counts the runs of one workflow of a repository, from 1; 0 for runs of older versions.
ALTER TABLE runs ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
-- 1, and one more each time that a person asks again.
ALTER TABLE runs ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
-- the first attempt, for all others
ALTER TABLE runs ADD COLUMN rerun_of INTEGER REFERENCES runs (id);
ALTER TABLE runs ADD COLUMN run_name TEXT;
-- workflows::diagnostic::Diagnostic
ALTER TABLE runs ADD COLUMN warnings TEXT NOT NULL DEFAULT '[]';
-- stands before the job in the names of its statuses
ALTER TABLE runs ADD COLUMN status_label TEXT NOT NULL DEFAULT '';
-- workflows::facts::Facts; null for runs of older versions
ALTER TABLE runs ADD COLUMN facts TEXT;
-- why it was cancelled
ALTER TABLE runs ADD COLUMN cancelled TEXT;

-- The rule was one run of a workflow for each event; each attempt is a run of its own.
DROP INDEX runs_once;
CREATE UNIQUE INDEX runs_once ON runs (event_id, workflow_origin, workflow_path, attempt);
CREATE INDEX runs_by_workflow ON runs (forge, repository, workflow_origin, workflow_path, number);

-- Its key in the workflow, which the jobs of a matrix share; empty for jobs of older versions.
ALTER TABLE jobs ADD COLUMN key TEXT NOT NULL DEFAULT '';
-- how many jobs of its key may run at a time; null for all
ALTER TABLE jobs ADD COLUMN max_parallel INTEGER;
-- the context `needs`, once the needed jobs are over
ALTER TABLE jobs ADD COLUMN needs_known TEXT;
-- what it said to others, by name
ALTER TABLE jobs ADD COLUMN outputs TEXT NOT NULL DEFAULT '{}';
-- Markdown of its steps
ALTER TABLE jobs ADD COLUMN summary TEXT;
-- workflows::protocol::Annotation
ALTER TABLE jobs ADD COLUMN annotations TEXT NOT NULL DEFAULT '[]';
-- why its runner is told to stop it
ALTER TABLE jobs ADD COLUMN cancel_reason TEXT;
-- the job of an earlier attempt whose result stands for this one
ALTER TABLE jobs ADD COLUMN kept_from INTEGER REFERENCES jobs (id);

-- Members of concurrency groups, in the order in which they came. The first of a group is under
-- way, the others wait. A run that is over has left; so has a job.
CREATE TABLE group_members (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    forge       TEXT NOT NULL,
    repository  TEXT NOT NULL,
    -- in small letters: case does not count
    name        TEXT NOT NULL,
    run_id      INTEGER NOT NULL REFERENCES runs (id),
    -- null when the whole run is the member
    job_id      INTEGER UNIQUE REFERENCES jobs (id)
);
CREATE INDEX group_members_by_name ON group_members (forge, repository, name, id);
CREATE INDEX group_members_by_run ON group_members (run_id);
