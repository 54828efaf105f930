-- Evaluations of a version on any dataset: a kind of job, and one row for each.

ALTER TABLE job ADD COLUMN kind TEXT NOT NULL DEFAULT 'train'
  CHECK (kind IN ('train', 'evaluate'));

-- Before, a version had one row, of the job that published it.
CREATE TABLE evaluation_by_job (
  job_id          INTEGER PRIMARY KEY REFERENCES job (id),
  task_id         INTEGER NOT NULL,
  version         INTEGER NOT NULL,
  dataset         TEXT NOT NULL,
  dataset_digest  TEXT NOT NULL,
  split           TEXT NOT NULL,
  result          TEXT NOT NULL,  -- JSON
  created         INTEGER NOT NULL,
  FOREIGN KEY (task_id, version) REFERENCES prompt_version (task_id, version)
);
INSERT INTO evaluation_by_job (job_id, task_id, version, dataset,
  dataset_digest, split, result, created)
  SELECT v.job_id, e.task_id, e.version, v.dataset, e.dataset_digest, e.split,
    e.result, e.created
  FROM evaluation e JOIN prompt_version v
    ON v.task_id = e.task_id AND v.version = e.version;
DROP TABLE evaluation;
ALTER TABLE evaluation_by_job RENAME TO evaluation;
CREATE INDEX evaluation_newest ON evaluation (task_id, version, job_id);
CREATE TRIGGER evaluation_is_immutable BEFORE UPDATE ON evaluation
BEGIN
  SELECT RAISE(ABORT, 'an evaluation cannot change');
END;
