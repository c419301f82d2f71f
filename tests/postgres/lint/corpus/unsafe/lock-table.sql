SET lock_timeout = '2s';
BEGIN;
LOCK TABLE raw.odds_history;
UPDATE raw.odds_history SET book = 'a' WHERE odds_id = 1;
COMMIT;
