-- When a look first missed the branch of an image; NULL while it is there.
ALTER TABLE rebuild_controls ADD COLUMN gone_since INTEGER;
