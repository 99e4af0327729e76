-- References that the workflow's own `on: parent-image` does not want, as a JSON list; NULL of a
-- workflow without one.
ALTER TABLE image_nodes ADD COLUMN refused TEXT;
