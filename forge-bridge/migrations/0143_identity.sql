-- A name may be taken by another repository.

-- 1 while a delivery names another id than the one that is known: until the forge has said whose the
-- name is, nothing that belongs to the repository is given to anybody
ALTER TABLE watched_repositories ADD COLUMN is_doubtful INTEGER NOT NULL DEFAULT 0;
-- when the forge said its id last
ALTER TABLE watched_repositories ADD COLUMN identified_at INTEGER NOT NULL DEFAULT 0;
