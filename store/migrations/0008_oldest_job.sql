-- The job of an encoder and a priority that has waited longest is one step
-- away, whosever it is.
CREATE INDEX job_oldest ON job (encoder_digest, priority, run_at, id)
  WHERE state = 'queued';
