-- The last checkpoints of a job, to be listed and started from. The one that
-- the job itself goes on from stays in job.checkpoint_digest.
CREATE TABLE job_checkpoint (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id       INTEGER NOT NULL REFERENCES job (id),
  number       INTEGER NOT NULL CHECK (number >= 1),
  epoch        INTEGER NOT NULL CHECK (epoch >= 0),
  step         INTEGER NOT NULL CHECK (step >= 0),
  blob_digest  TEXT NOT NULL,
  bytes        INTEGER NOT NULL CHECK (bytes >= 0),
  created      INTEGER NOT NULL,
  UNIQUE (job_id, number)
);

-- A cancellation that waits for a checkpoint.
ALTER TABLE job ADD COLUMN cancel_after_checkpoint INTEGER NOT NULL DEFAULT 0
  CHECK (cancel_after_checkpoint IN (0, 1));
