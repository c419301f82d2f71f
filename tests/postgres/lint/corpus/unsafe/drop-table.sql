SET lock_timeout = '2s';
DROP TABLE raw.old_odds;
