SET lock_timeout = '2s';
ALTER TABLE raw.games ADD CONSTRAINT week_in_season CHECK (week <= 22) NOT VALID;
