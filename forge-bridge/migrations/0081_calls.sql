-- Jobs that are other workflows, and the jobs within them.

-- workflows::workflow::Called: the files that the run's jobs call, by name
ALTER TABLE runs ADD COLUMN called TEXT NOT NULL DEFAULT '{}';
-- the name of the call that a job is part of; empty for a job of the run's own workflow
ALTER TABLE jobs ADD COLUMN within TEXT NOT NULL DEFAULT '';
