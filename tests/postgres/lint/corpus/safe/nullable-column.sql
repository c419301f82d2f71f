SET lock_timeout = '2s';
ALTER TABLE raw.games ADD COLUMN attendance integer;
