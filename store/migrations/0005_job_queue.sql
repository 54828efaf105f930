-- Priorities, shares of tenants, and what a job would do again.

ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 2
  CHECK (priority BETWEEN 1 AND 3);  -- 1 comes first
-- Of the resolved specification and the program; empty: of an older release.
ALTER TABLE job ADD COLUMN content_sha256 TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0
  CHECK (pruned IN (0, 1));

-- The next job of a tenant, an encoder and a priority is one step away,
-- however many wait.
DROP INDEX job_claim;
CREATE INDEX job_claim ON job (tenant, encoder_digest, priority, run_at, id)
  WHERE state = 'queued';
-- And so is the next tenant that waits, or that runs one.
DROP INDEX job_state;
CREATE INDEX job_state ON job (state, tenant);
CREATE INDEX job_content ON job (tenant, content_sha256)
  WHERE state = 'succeeded' AND content_sha256 <> '';
CREATE INDEX job_prunable ON job (ended) WHERE ended IS NOT NULL AND pruned = 0;
