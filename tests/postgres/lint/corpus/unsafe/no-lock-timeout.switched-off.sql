SET lock_timeout = '2s';
SET lock_timeout = 0;
ALTER TABLE raw.games ADD COLUMN attendance int;
