SET lock_timeout = '2s';
ALTER TABLE raw.games ADD COLUMN margin int GENERATED ALWAYS AS (home_score - away_score) STORED;
