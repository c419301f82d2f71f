SET lock_timeout = '2s';
ALTER TABLE raw.players ADD COLUMN seq bigint GENERATED ALWAYS AS IDENTITY;
