SET lock_timeout = '2s';
ALTER TABLE raw.games ADD COLUMN attendance int CHECK (attendance >= 0);
