-- Times are milliseconds since 1970, digests SHA-256 in lower-case hex.

CREATE TABLE encoder (
  digest      TEXT PRIMARY KEY NOT NULL,
  name        TEXT NOT NULL,
  first_seen  INTEGER NOT NULL,
  last_seen   INTEGER NOT NULL
);

CREATE TABLE dataset (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant         TEXT NOT NULL,
  name           TEXT NOT NULL,
  digest         TEXT NOT NULL,
  manifest_blob  TEXT NOT NULL,
  class_names    TEXT NOT NULL,  -- JSON
  splits         TEXT NOT NULL,  -- JSON
  total_bytes    INTEGER NOT NULL CHECK (total_bytes >= 0),
  created        INTEGER NOT NULL,
  UNIQUE (tenant, name)
);
CREATE INDEX dataset_digest ON dataset (digest);

CREATE TABLE feature_blob (
  key      TEXT PRIMARY KEY NOT NULL,
  digest   TEXT NOT NULL,
  created  INTEGER NOT NULL
);

CREATE TABLE task (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant          TEXT NOT NULL,
  name            TEXT NOT NULL,
  encoder         TEXT NOT NULL,
  encoder_digest  TEXT NOT NULL,
  class_names     TEXT NOT NULL,  -- JSON
  next_version    INTEGER NOT NULL DEFAULT 1 CHECK (next_version >= 1),
  created         INTEGER NOT NULL,
  UNIQUE (tenant, name)
);

-- AUTOINCREMENT: the id of a job is never used again.
CREATE TABLE job (
  id                 INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant             TEXT NOT NULL,
  task               TEXT NOT NULL,
  state              TEXT NOT NULL CHECK (state IN
    ('queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')),
  spec               TEXT NOT NULL,  -- JSON
  encoder_digest     TEXT NOT NULL,
  dataset_digest     TEXT NOT NULL,
  request_id         TEXT CHECK (request_id <> ''),
  body_sha256        TEXT NOT NULL,
  attempt            INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
  lost               INTEGER NOT NULL DEFAULT 0 CHECK (lost >= 0),
  fence              INTEGER NOT NULL DEFAULT 0 CHECK (fence >= 0),
  owner              TEXT,
  lease_until        INTEGER,
  run_at             INTEGER NOT NULL,
  checkpoint_digest  TEXT NOT NULL DEFAULT '',
  progress           TEXT NOT NULL DEFAULT '',  -- JSON
  result             TEXT NOT NULL DEFAULT '',  -- JSON
  version            INTEGER CHECK (version >= 1),
  error_reason       TEXT NOT NULL DEFAULT '',
  error_message      TEXT NOT NULL DEFAULT '',
  cancel_requested   INTEGER NOT NULL DEFAULT 0
    CHECK (cancel_requested IN (0, 1)),
  pause_requested    INTEGER NOT NULL DEFAULT 0
    CHECK (pause_requested IN (0, 1)),
  last_sequence      INTEGER NOT NULL DEFAULT 0 CHECK (last_sequence >= 0),
  created            INTEGER NOT NULL,
  started            INTEGER,
  ended              INTEGER,
  CHECK ((state = 'running') = (owner IS NOT NULL)),
  CHECK ((state = 'running') = (lease_until IS NOT NULL)),
  CHECK ((state IN ('succeeded', 'failed', 'cancelled')) =
         (ended IS NOT NULL)),
  CHECK ((state = 'succeeded') = (version IS NOT NULL)),
  CHECK (state <> 'failed' OR error_reason <> ''),
  CHECK (pause_requested = 0 OR state = 'running')
);
CREATE INDEX job_claim ON job (run_at, id) WHERE state = 'queued';
CREATE INDEX job_expire ON job (lease_until) WHERE state = 'running';
CREATE INDEX job_unfinished ON job (tenant, dataset_digest)
  WHERE state IN ('queued', 'running', 'paused');
CREATE INDEX job_state ON job (state);
CREATE INDEX job_newest ON job (tenant, id);
CREATE INDEX job_task ON job (tenant, task, id);
CREATE UNIQUE INDEX job_request ON job (tenant, request_id)
  WHERE request_id IS NOT NULL;

CREATE TRIGGER job_terminal_states_stay BEFORE UPDATE OF state ON job
WHEN OLD.state IN ('succeeded', 'failed', 'cancelled')
  AND NEW.state <> OLD.state
BEGIN
  SELECT RAISE(ABORT, 'a finished job cannot change its state');
END;
CREATE TRIGGER job_fence_grows BEFORE UPDATE OF fence ON job
WHEN NEW.fence < OLD.fence
BEGIN
  SELECT RAISE(ABORT, 'the fence of a job cannot go back');
END;

-- One row a claim: who held the job, and how that ended.
CREATE TABLE job_attempt (
  job_id   INTEGER NOT NULL REFERENCES job (id),
  fence    INTEGER NOT NULL,
  worker   TEXT NOT NULL,
  started  INTEGER NOT NULL,
  ended    INTEGER,
  outcome  TEXT CHECK (outcome IN
    ('succeeded', 'failed', 'retried', 'lost', 'released', 'cancelled',
     'paused')),
  error    TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (job_id, fence),
  CHECK ((ended IS NULL) = (outcome IS NULL))
);

CREATE TABLE job_event (
  job_id    INTEGER NOT NULL REFERENCES job (id),
  sequence  INTEGER NOT NULL CHECK (sequence >= 1),
  time      INTEGER NOT NULL,
  state     TEXT NOT NULL,
  progress  TEXT NOT NULL DEFAULT '',
  message   TEXT NOT NULL DEFAULT '',
  version   INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (job_id, sequence)
);

CREATE TABLE prompt_version (
  task_id          INTEGER NOT NULL REFERENCES task (id),
  version          INTEGER NOT NULL CHECK (version >= 1),
  digest           TEXT NOT NULL,
  context_digest   TEXT NOT NULL,
  features_digest  TEXT NOT NULL,
  dataset          TEXT NOT NULL,
  dataset_digest   TEXT NOT NULL,
  encoder_digest   TEXT NOT NULL,
  job_id           INTEGER NOT NULL UNIQUE REFERENCES job (id),
  spec             TEXT NOT NULL,  -- JSON
  created          INTEGER NOT NULL,
  PRIMARY KEY (task_id, version)
);
CREATE TRIGGER prompt_version_is_immutable BEFORE UPDATE ON prompt_version
BEGIN
  SELECT RAISE(ABORT, 'a prompt version cannot change');
END;

CREATE TABLE evaluation (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  task_id         INTEGER NOT NULL,
  version         INTEGER NOT NULL,
  dataset_digest  TEXT NOT NULL,
  split           TEXT NOT NULL,
  result          TEXT NOT NULL,  -- JSON
  created         INTEGER NOT NULL,
  UNIQUE (task_id, version, dataset_digest, split),
  FOREIGN KEY (task_id, version) REFERENCES prompt_version (task_id, version)
);

CREATE TABLE alias (
  task_id   INTEGER NOT NULL,
  name      TEXT NOT NULL CHECK (name <> 'latest'),
  version   INTEGER NOT NULL,
  revision  INTEGER NOT NULL CHECK (revision >= 1),
  updated   INTEGER NOT NULL,
  PRIMARY KEY (task_id, name),
  FOREIGN KEY (task_id, version) REFERENCES prompt_version (task_id, version)
);

CREATE TABLE alias_history (
  task_id           INTEGER NOT NULL,
  name              TEXT NOT NULL,
  revision          INTEGER NOT NULL,
  version           INTEGER NOT NULL,
  previous_version  INTEGER NOT NULL,  -- 0: the alias did not exist
  changed           INTEGER NOT NULL,
  PRIMARY KEY (task_id, name, revision),
  FOREIGN KEY (task_id, version) REFERENCES prompt_version (task_id, version)
);
CREATE TRIGGER alias_history_keeps_rows BEFORE DELETE ON alias_history
BEGIN
  SELECT RAISE(ABORT, 'the history of an alias is append-only');
END;
CREATE TRIGGER alias_history_keeps_values BEFORE UPDATE ON alias_history
BEGIN
  SELECT RAISE(ABORT, 'the history of an alias is append-only');
END;
