-- What the loops ask every few seconds must not read whole tables. An index of a part of a table
-- serves only a question that names the part in the same words: `state <> 'finished'` is not known
-- to follow from `state = 'leased'`.
CREATE INDEX jobs_unpinned ON jobs (priority DESC, id) WHERE state = 'unpinned';
CREATE INDEX jobs_leased ON jobs (lease_expires_at) WHERE state = 'leased';
CREATE INDEX jobs_publishing ON jobs (id) WHERE state = 'publishing';

-- In the order in which they are taken, or the whole table is read in that order.
CREATE INDEX events_new ON events (id) WHERE state = 'new';
CREATE INDEX replies_in_turn ON replies (id) WHERE state = 'waiting';

-- The backlog of a forge that is away is not read for another one.
DROP INDEX statuses_behind;
CREATE INDEX statuses_behind ON statuses (forge, due_at, id)
    WHERE reported < desired AND refusal IS NULL;
-- those of a run's page
CREATE INDEX statuses_by_run ON statuses (run_id, id);
-- those that the daily closing compares with what is over
CREATE INDEX statuses_pending ON statuses (changed_at) WHERE state = 'pending';

CREATE INDEX image_nodes_by_job ON image_nodes (job_id);
