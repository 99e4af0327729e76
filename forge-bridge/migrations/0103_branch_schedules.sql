-- What the schedules of a branch were read from last: a look at the branches finds those whose head
-- or rules are others since, though nobody pushed.
CREATE TABLE branch_schedules (
    forge      TEXT NOT NULL,
    repository TEXT NOT NULL,
    ref_name   TEXT NOT NULL,
    head       TEXT NOT NULL,
    -- a digest of what the operator says: directories, default workflows and their times
    rules      TEXT NOT NULL,
    PRIMARY KEY (forge, repository, ref_name)
);
