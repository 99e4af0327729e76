-- Events that came after what came of them: built, and never the newest.

-- 1 for one whose branch was elsewhere when it was planned; it left its branch nowhere
ALTER TABLE events ADD COLUMN is_late INTEGER NOT NULL DEFAULT 0;
-- the order in which runs of a branch count: the number of the event, 0 for one that came late
ALTER TABLE runs ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET rank = event_id;
