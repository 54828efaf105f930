-- When features were last asked for, to within an hour. Until now nobody knew.
ALTER TABLE feature_blob ADD COLUMN used INTEGER NOT NULL DEFAULT 0;
UPDATE feature_blob SET used = 1000 * CAST(strftime('%s', 'now') AS INTEGER);
CREATE INDEX feature_blob_used ON feature_blob (used);
