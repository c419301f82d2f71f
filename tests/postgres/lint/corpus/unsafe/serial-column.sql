SET lock_timeout = '2s';
ALTER TABLE raw.players ADD COLUMN seq BIGSERIAL;
