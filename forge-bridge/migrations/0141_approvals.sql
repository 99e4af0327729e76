-- An approval ends with the head, and the base branch, that it was given to.

-- when another head, or another base branch, was told; NULL while it counts
ALTER TABLE approvals ADD COLUMN void_at INTEGER;
