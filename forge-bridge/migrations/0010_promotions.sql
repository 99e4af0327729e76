-- Which image was given its release's stable tags, by whom and why: rows only come.
CREATE TABLE promotions (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    image_id    INTEGER NOT NULL REFERENCES images (id),
    registry    TEXT NOT NULL,
    repository  TEXT NOT NULL,
    -- workflows::image::Tag, as a JSON list
    tags        TEXT NOT NULL,
    asked_by    TEXT NOT NULL,
    reason      TEXT NOT NULL,
    asked_at    INTEGER NOT NULL
);
CREATE INDEX promotions_by_image ON promotions (image_id, id);
CREATE INDEX promotions_by_name ON promotions (registry, repository, id);
CREATE TRIGGER promotions_no_update BEFORE UPDATE ON promotions
BEGIN SELECT RAISE(ABORT, 'promotions are append-only'); END;
CREATE TRIGGER promotions_no_delete BEFORE DELETE ON promotions
BEGIN SELECT RAISE(ABORT, 'promotions are append-only'); END;
CREATE TRIGGER promotions_no_replace BEFORE INSERT ON promotions
WHEN EXISTS (SELECT 1 FROM promotions WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'promotions are append-only'); END;

-- How far the registry is with each of them.
CREATE TABLE promotion_progress (
    promotion_id INTEGER PRIMARY KEY REFERENCES promotions (id),
    -- workflows::state::PromotionState
    state       TEXT NOT NULL DEFAULT 'due',
    tries       INTEGER NOT NULL DEFAULT 0,
    due_at      INTEGER NOT NULL DEFAULT 0,
    message     TEXT NOT NULL DEFAULT '',
    ended_at    INTEGER
);
CREATE INDEX promotion_progress_due ON promotion_progress (due_at) WHERE state = 'due';

-- Rises with whatever the graph of images and the answers about their parents are read from, so
-- that a copy in memory is known to be as new as the store.
ALTER TABLE rebuild_clock ADD COLUMN graph INTEGER NOT NULL DEFAULT 1;
CREATE TRIGGER graph_node_new AFTER INSERT ON image_nodes
    BEGIN UPDATE rebuild_clock SET graph = graph + 1; END;
CREATE TRIGGER graph_node AFTER UPDATE ON image_nodes
    BEGIN UPDATE rebuild_clock SET graph = graph + 1; END;
CREATE TRIGGER graph_node_gone AFTER DELETE ON image_nodes
    BEGIN UPDATE rebuild_clock SET graph = graph + 1; END;
CREATE TRIGGER graph_control_new AFTER INSERT ON rebuild_controls
    BEGIN UPDATE rebuild_clock SET graph = graph + 1; END;
CREATE TRIGGER graph_control AFTER UPDATE ON rebuild_controls
    BEGIN UPDATE rebuild_clock SET graph = graph + 1; END;
CREATE TRIGGER graph_control_gone AFTER DELETE ON rebuild_controls
    BEGIN UPDATE rebuild_clock SET graph = graph + 1; END;
CREATE TRIGGER graph_reference_new AFTER INSERT ON watched_references
    BEGIN UPDATE rebuild_clock SET graph = graph + 1; END;
CREATE TRIGGER graph_reference_gone AFTER DELETE ON watched_references
    BEGIN UPDATE rebuild_clock SET graph = graph + 1; END;
CREATE TRIGGER graph_reference AFTER UPDATE OF releases, form, digest, since, answer, reason,
    asked_at ON watched_references
    BEGIN UPDATE rebuild_clock SET graph = graph + 1; END;
