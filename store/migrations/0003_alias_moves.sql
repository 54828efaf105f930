-- The history of an alias says who moved it and why, holds deletions (version
-- 0) and rollbacks, and outlives the versions that it names.

CREATE TABLE alias_move (
  task_id           INTEGER NOT NULL,
  name              TEXT NOT NULL,
  revision          INTEGER NOT NULL CHECK (revision >= 1),
  version           INTEGER NOT NULL CHECK (version >= 0),  -- 0: deleted
  previous_version  INTEGER NOT NULL,  -- 0: the alias did not exist
  changed           INTEGER NOT NULL,
  actor             TEXT NOT NULL DEFAULT '',
  reason            TEXT NOT NULL DEFAULT '',
  undone_revision   INTEGER NOT NULL DEFAULT 0,  -- of a rollback
  PRIMARY KEY (task_id, name, revision)
);
INSERT INTO alias_move (task_id, name, revision, version, previous_version,
  changed)
  SELECT task_id, name, revision, version, previous_version, changed
  FROM alias_history;
DROP TABLE alias_history;
ALTER TABLE alias_move RENAME TO alias_history;
CREATE TRIGGER alias_history_keeps_rows BEFORE DELETE ON alias_history
BEGIN
  SELECT RAISE(ABORT, 'the history of an alias is append-only');
END;
CREATE TRIGGER alias_history_keeps_values BEFORE UPDATE ON alias_history
BEGIN
  SELECT RAISE(ABORT, 'the history of an alias is append-only');
END;

-- A job that tries another one again.
ALTER TABLE job ADD COLUMN retry_of INTEGER;
