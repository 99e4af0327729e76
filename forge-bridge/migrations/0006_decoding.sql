-- Deliveries are decoded in the order of their ids, so that one number tells which wait, and a
-- row whose body fills many pages is written once and never touched again.
CREATE TABLE decoding (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    decoded_up_to INTEGER NOT NULL
);
INSERT INTO decoding (one, decoded_up_to)
SELECT 1, coalesce((SELECT min(id) - 1 FROM deliveries WHERE state = 'waiting'),
                   (SELECT max(id) FROM deliveries),
                   0);
DROP INDEX deliveries_undone;
ALTER TABLE deliveries DROP COLUMN state;
