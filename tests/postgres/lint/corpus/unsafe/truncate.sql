SET lock_timeout = '2s';
TRUNCATE TABLE raw.odds_history;
