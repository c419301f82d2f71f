SET lock_timeout = '2s';
ALTER TABLE raw.players ALTER COLUMN position SET NOT NULL;
