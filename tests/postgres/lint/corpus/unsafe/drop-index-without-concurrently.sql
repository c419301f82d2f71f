SET lock_timeout = '2s';
DROP INDEX IF EXISTS raw.idx_games_home_team;
