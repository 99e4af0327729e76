-- Secrets and variables: who set which for what. A value of a secret stands here sealed only; its
-- key is a file elsewhere.

CREATE TABLE named_values (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    -- secret, variable
    kind     TEXT NOT NULL,
    -- instance, namespace, repository
    scope    TEXT NOT NULL,
    -- both empty for the instance
    forge    TEXT NOT NULL,
    path     TEXT NOT NULL,
    -- in capitals
    name     TEXT NOT NULL,
    -- patterns; none for all branches
    branches TEXT NOT NULL DEFAULT '[]',
    -- of a variable
    value    TEXT,
    -- of a secret, with the name of the key that opens it
    sealed   BLOB,
    key_id   TEXT,
    set_by   TEXT NOT NULL,
    set_at   INTEGER NOT NULL,
    UNIQUE (kind, forge, path, scope, name),
    CHECK ((kind = 'secret') = (sealed IS NOT NULL AND key_id IS NOT NULL AND value IS NULL))
);

-- What was done to them and by whom; it stays when they go.
CREATE TABLE named_value_changes (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    -- set, removed
    change   TEXT NOT NULL,
    kind     TEXT NOT NULL,
    scope    TEXT NOT NULL,
    forge    TEXT NOT NULL,
    path     TEXT NOT NULL,
    name     TEXT NOT NULL,
    branches TEXT NOT NULL,
    by       TEXT NOT NULL,
    at       INTEGER NOT NULL
);
CREATE TRIGGER named_value_changes_no_update BEFORE UPDATE ON named_value_changes
BEGIN SELECT RAISE(ABORT, 'changes of secrets and variables are append-only'); END;
CREATE TRIGGER named_value_changes_no_delete BEFORE DELETE ON named_value_changes
BEGIN SELECT RAISE(ABORT, 'changes of secrets and variables are append-only'); END;
CREATE TRIGGER named_value_changes_no_replace BEFORE INSERT ON named_value_changes
WHEN EXISTS (SELECT 1 FROM named_value_changes WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'changes of secrets and variables are append-only'); END;
