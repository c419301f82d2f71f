-- Migration: Stadiums, teams, players, seasons and games
-- Author: DevOps
-- Date: 2024-09-01

BEGIN;

CREATE TABLE IF NOT EXISTS raw.stadiums (
    stadium_id    text          PRIMARY KEY,
    name          text          NOT NULL,
    city          text          NOT NULL,
    roof          text          NOT NULL CHECK (roof IN ('open', 'retractable', 'dome')),
    latitude      numeric(7, 4) NOT NULL,
    longitude     numeric(7, 4) NOT NULL,
    elevation_ft  integer       NOT NULL,
    time_zone     text          NOT NULL
);
COMMENT ON TABLE raw.stadiums IS 'Where games are played today; positions rounded.';
COMMENT ON COLUMN raw.stadiums.roof IS 'open, retractable (closed in bad weather) or dome (always closed).';

CREATE TABLE IF NOT EXISTS raw.teams (
    team          text     PRIMARY KEY,
    name          text     NOT NULL UNIQUE,
    conference    text     NOT NULL CHECK (conference IN ('AFC', 'NFC')),
    division      text     NOT NULL CHECK (division IN ('East', 'North', 'South', 'West')),
    stadium_id    text     NOT NULL REFERENCES raw.stadiums,
    first_season  smallint NOT NULL
);
CREATE INDEX IF NOT EXISTS idx_teams_stadium_id ON raw.teams (stadium_id);
COMMENT ON TABLE raw.teams IS 'The 32 franchises under the code and in the stadium of today, moves disregarded.';
COMMENT ON COLUMN raw.teams.first_season IS 'First season since 1999 in which the franchise plays.';

CREATE TABLE IF NOT EXISTS raw.players (
    player_id  integer PRIMARY KEY,
    team       text    NOT NULL REFERENCES raw.teams,
    position   text    NOT NULL
);
CREATE INDEX IF NOT EXISTS idx_players_team ON raw.players (team);
COMMENT ON TABLE raw.players IS 'Synthetic: thirty nameless players for each team.';

CREATE TABLE IF NOT EXISTS raw.seasons (
    season            smallint PRIMARY KEY,
    opening_thursday  date     NOT NULL,
    weeks             smallint NOT NULL,
    playoff_teams     smallint NOT NULL
);
COMMENT ON TABLE raw.seasons IS 'Shape of each season: 17 weeks, 18 since 2021; 12 teams in the playoffs, 14 since 2020.';

CREATE TABLE IF NOT EXISTS raw.games (
    game_id       text        PRIMARY KEY,
    season        smallint    NOT NULL REFERENCES raw.seasons,
    week          smallint    NOT NULL,
    game_type     text        NOT NULL CHECK (game_type IN ('REG', 'WC', 'DIV', 'CON', 'SB')),
    kickoff       timestamptz NOT NULL,
    home_team     text        NOT NULL REFERENCES raw.teams,
    away_team     text        NOT NULL REFERENCES raw.teams,
    stadium_id    text        NOT NULL REFERENCES raw.stadiums,
    neutral_site  boolean     NOT NULL DEFAULT false,
    home_score    smallint    CHECK (home_score >= 0),
    away_score    smallint    CHECK (away_score >= 0),
    CHECK (home_team <> away_team)
);
CREATE INDEX IF NOT EXISTS idx_games_season_week ON raw.games (season, week);
CREATE INDEX IF NOT EXISTS idx_games_home_team ON raw.games (home_team);
CREATE INDEX IF NOT EXISTS idx_games_away_team ON raw.games (away_team);
CREATE INDEX IF NOT EXISTS idx_games_stadium_id_kickoff ON raw.games (stadium_id, kickoff);
COMMENT ON TABLE raw.games IS 'Synthetic in the demonstration: schedules and scores are generated, not history.';
COMMENT ON COLUMN raw.games.game_id IS 'SEASON_WEEK_AWAY_HOME.';
COMMENT ON COLUMN raw.games.week IS 'Playoff weeks follow those of the season.';
COMMENT ON COLUMN raw.games.home_score IS 'Null until the game has been played.';

COMMIT;
