-- What the last plan found besides what is stale: images that gave up or wait after a failure,
-- that something else holds back, and of which nothing can be said; and the references that their
-- registries did not answer for.
ALTER TABLE rebuild_clock ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rebuild_clock ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rebuild_clock ADD COLUMN unknown INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rebuild_clock ADD COLUMN unanswered INTEGER NOT NULL DEFAULT 0;
