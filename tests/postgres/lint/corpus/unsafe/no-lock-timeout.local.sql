BEGIN;
SET LOCAL lock_timeout = '2s';
ALTER TABLE raw.games ADD COLUMN attendance int;
COMMIT;
BEGIN;
ALTER TABLE raw.teams ADD COLUMN founded int;
COMMIT;
