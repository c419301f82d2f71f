SET lock_timeout = '2s';
BEGIN;
ALTER TABLE raw.games ADD CONSTRAINT week_in_season CHECK (week <= 22) NOT VALID;
ALTER TABLE raw.games VALIDATE CONSTRAINT week_in_season;
COMMIT;
