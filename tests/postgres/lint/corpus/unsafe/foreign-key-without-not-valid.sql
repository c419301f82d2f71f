SET lock_timeout = '2s';
ALTER TABLE ONLY raw.odds_history
    ADD CONSTRAINT fk_game FOREIGN KEY (game_id) REFERENCES raw.games (game_id);
