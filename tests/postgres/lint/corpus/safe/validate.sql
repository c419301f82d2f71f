ALTER TABLE raw.games VALIDATE CONSTRAINT week_in_season;
