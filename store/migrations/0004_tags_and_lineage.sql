-- Tags on versions, and lineage in both directions.

CREATE TABLE version_tag (
  task_id  INTEGER NOT NULL,
  version  INTEGER NOT NULL,
  key      TEXT NOT NULL CHECK (key <> ''),
  value    TEXT NOT NULL,
  PRIMARY KEY (task_id, version, key),
  FOREIGN KEY (task_id, version) REFERENCES prompt_version (task_id, version)
);
CREATE INDEX version_tag_find ON version_tag (task_id, key, value, version);

-- The version whose context this one started from.
ALTER TABLE prompt_version ADD COLUMN source_task_id INTEGER;
ALTER TABLE prompt_version ADD COLUMN source_version INTEGER;
DROP TRIGGER prompt_version_is_immutable;
UPDATE prompt_version SET
  source_version = json_extract(spec, '$.initial_version'),
  source_task_id = (
    SELECT s.id FROM task s JOIN task t ON t.tenant = s.tenant
    WHERE t.id = prompt_version.task_id
      AND s.name = json_extract(prompt_version.spec, '$.initial_task'))
  WHERE json_extract(spec, '$.initial_version') > 0;
CREATE TRIGGER prompt_version_is_immutable BEFORE UPDATE ON prompt_version
BEGIN
  SELECT RAISE(ABORT, 'a prompt version cannot change');
END;

CREATE INDEX prompt_version_of_dataset
  ON prompt_version (dataset_digest, task_id, version);
CREATE INDEX prompt_version_of_encoder
  ON prompt_version (encoder_digest, task_id, version);
CREATE INDEX prompt_version_of_source
  ON prompt_version (source_task_id, source_version, task_id, version);
CREATE INDEX prompt_version_of_digest ON prompt_version (task_id, digest);
