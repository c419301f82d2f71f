SET lock_timeout = '2s';
BEGIN;
ALTER TABLE raw.games ADD COLUMN a int;
ALTER TABLE raw.teams ADD COLUMN b int;
COMMIT;
