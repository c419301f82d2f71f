SET lock_timeout = '2s';
ALTER TABLE raw.odds_history ALTER COLUMN odds_id TYPE bigint;
