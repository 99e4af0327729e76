-- One workflow may run on both sides of a pull request: on its head, and on the branch that it would
-- go into.
DROP INDEX runs_once;
CREATE UNIQUE INDEX runs_once
    ON runs (event_id, workflow_origin, workflow_path, attempt, fetch_ref);
