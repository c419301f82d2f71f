-- Migration: What ETL derives for each game, each team in a game and each player in a game
-- Author: DevOps
-- Date: 2024-09-15

BEGIN;

CREATE TABLE IF NOT EXISTS staging.weather_game_window (
    game_id         text          PRIMARY KEY REFERENCES raw.games,
    temp_f          numeric(4, 1) NOT NULL,
    wind_mph        numeric(4, 1) NOT NULL,
    humidity_pct    smallint      NOT NULL,
    precip_in       numeric(4, 2) NOT NULL,
    roof_closed     boolean       NOT NULL,
    hours_observed  smallint      NOT NULL
);
COMMENT ON TABLE staging.weather_game_window IS 'Weather from one hour before kickoff to three hours after; means, and the sum of precipitation.';

CREATE TABLE IF NOT EXISTS staging.closing_lines (
    game_id       text          PRIMARY KEY REFERENCES raw.games,
    spread_home   numeric(4, 1) NOT NULL,
    total_points  numeric(4, 1) NOT NULL,
    books         smallint      NOT NULL
);
COMMENT ON TABLE staging.closing_lines IS 'Median over books of the last line before kickoff.';

CREATE TABLE IF NOT EXISTS staging.team_stats (
    game_id         text           NOT NULL REFERENCES raw.games,
    team            text           NOT NULL REFERENCES raw.teams,
    opponent        text           NOT NULL REFERENCES raw.teams,
    season          smallint       NOT NULL,
    week            smallint       NOT NULL,
    kickoff         timestamptz    NOT NULL,
    is_home         boolean        NOT NULL,
    points          smallint       NOT NULL,
    points_allowed  smallint       NOT NULL,
    plays           smallint       NOT NULL,
    yards           smallint       NOT NULL,
    turnovers       smallint       NOT NULL,
    epa_per_play    numeric(10, 4) NOT NULL,
    success_rate    numeric(5, 4)  NOT NULL,
    PRIMARY KEY (game_id, team)
);
CREATE INDEX IF NOT EXISTS idx_team_stats_team_kickoff ON staging.team_stats (team, kickoff);
CREATE INDEX IF NOT EXISTS idx_team_stats_opponent ON staging.team_stats (opponent);
CREATE INDEX IF NOT EXISTS idx_team_stats_season_week ON staging.team_stats (season, week);
COMMENT ON TABLE staging.team_stats IS 'Synthetic in the demonstration. One row for each team in each game played.';
COMMENT ON COLUMN staging.team_stats.epa_per_play IS 'Expected points added per play.';

CREATE TABLE IF NOT EXISTS staging.player_game_stats (
    game_id      text           NOT NULL REFERENCES raw.games,
    player_id    integer        NOT NULL REFERENCES raw.players,
    season       smallint       NOT NULL,
    week         smallint       NOT NULL,
    team         text           NOT NULL REFERENCES raw.teams,
    snaps        smallint       NOT NULL,
    yards        smallint       NOT NULL,
    epa          numeric(10, 4) NOT NULL,
    PRIMARY KEY (game_id, player_id)
);
CREATE INDEX IF NOT EXISTS idx_player_game_stats_player_id ON staging.player_game_stats (player_id);
CREATE INDEX IF NOT EXISTS idx_player_game_stats_season_week ON staging.player_game_stats (season, week);
CREATE INDEX IF NOT EXISTS idx_player_game_stats_team ON staging.player_game_stats (team);
COMMENT ON TABLE staging.player_game_stats IS 'Synthetic in the demonstration. Delivered since 2023, each season in one load.';

COMMIT;
