-- What an operator said last of all images of a release, or with an empty name of all images: the
-- reason of a stop, or NULL for a start. Of what concerns an image the word with the highest number
-- counts, so that a stop holds what comes after it, and a later start of one image goes before it.
CREATE TABLE rebuild_holds (
    release TEXT PRIMARY KEY,
    held    TEXT,
    word    INTEGER NOT NULL
);
ALTER TABLE rebuild_controls ADD COLUMN word INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER rebuild_clock_hold_new AFTER INSERT ON rebuild_holds
    BEGIN UPDATE rebuild_clock SET generation = generation + 1, graph = graph + 1; END;
CREATE TRIGGER rebuild_clock_hold AFTER UPDATE ON rebuild_holds
    BEGIN UPDATE rebuild_clock SET generation = generation + 1, graph = graph + 1; END;
