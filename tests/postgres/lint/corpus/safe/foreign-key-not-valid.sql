SET lock_timeout = '2s';
ALTER TABLE raw.odds_history ADD CONSTRAINT fk_game FOREIGN KEY (game_id) REFERENCES raw.games (game_id) NOT VALID;
