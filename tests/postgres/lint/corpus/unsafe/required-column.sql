SET lock_timeout = '2s';
ALTER TABLE raw.games ADD COLUMN stage text NOT NULL;
