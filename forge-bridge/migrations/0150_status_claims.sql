-- What each branch and pull request of a commit says in a status that they share.

CREATE TABLE status_claims (
    status_id     INTEGER NOT NULL REFERENCES statuses (id) ON DELETE CASCADE,
    -- a full ref, or `#` and the number of a pull request
    place         TEXT NOT NULL,
    -- the newest run of that place, in runs; without an index, which each new run would ask
    run_id        INTEGER NOT NULL,
    state         TEXT NOT NULL,
    description   TEXT NOT NULL,
    PRIMARY KEY (status_id, place)
) WITHOUT ROWID;

INSERT INTO status_claims (status_id, place, run_id, state, description)
SELECT s.id, CASE WHEN r.pull_number IS NULL THEN r.ref_name ELSE '#' || r.pull_number END,
       r.id, s.state, s.description
FROM statuses s JOIN runs r ON r.id = s.run_id;
