SET lock_timeout = '2s';
ALTER TABLE raw.players ALTER COLUMN nickname TYPE text;
