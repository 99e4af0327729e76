-- What was said in a comment because the forge refused a status, once for each run, or for each
-- event where it waits for approval.

CREATE TABLE status_comments (
    -- stands hidden in the text, so that the forge can be asked whether it has it
    marker      TEXT PRIMARY KEY,
    begun_at    INTEGER NOT NULL,
    -- whether the forge has it; one that was begun and is not may be there or not
    said        INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

INSERT OR IGNORE INTO status_comments (marker, begun_at, said)
SELECT 'end of run ' || commented_run, 0, 1 FROM statuses WHERE commented_run IS NOT NULL;

ALTER TABLE statuses DROP COLUMN commented_run;
