SET lock_timeout = '2s';
ALTER TABLE raw.games RENAME COLUMN week TO game_week;
