SET lock_timeout = '2s';
ALTER TABLE raw.odds_history ALTER COLUMN book TYPE varchar(10);
