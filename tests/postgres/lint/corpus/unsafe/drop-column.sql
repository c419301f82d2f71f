SET lock_timeout = '2s';
ALTER TABLE raw.games DROP COLUMN IF EXISTS week;
