SET lock_timeout = '2s';
ALTER TABLE raw.players ADD COLUMN token uuid NOT NULL DEFAULT gen_random_uuid();
