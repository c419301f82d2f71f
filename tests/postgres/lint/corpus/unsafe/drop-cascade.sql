SET lock_timeout = '2s';
DROP TABLE IF EXISTS raw.old_odds CASCADE;
