-- One row for each game: result, closing line, weather and both teams' figures. What backtests read.

CREATE OR REPLACE VIEW mart.game_summary AS
SELECT g.game_id,
       g.season,
       g.week,
       g.game_type,
       g.kickoff,
       g.home_team,
       g.away_team,
       g.home_score,
       g.away_score,
       g.home_score - g.away_score                            AS home_margin,
       line.spread_home                                       AS closing_spread_home,
       line.total_points                                      AS closing_total,
       g.home_score - g.away_score + line.spread_home         AS margin_against_spread,
       stadium.roof,
       weather.temp_f,
       weather.wind_mph,
       weather.precip_in,
       home.epa_per_play                                      AS home_epa_per_play,
       away.epa_per_play                                      AS away_epa_per_play,
       home.turnovers                                         AS home_turnovers,
       away.turnovers                                         AS away_turnovers
FROM raw.games AS g
JOIN raw.stadiums AS stadium USING (stadium_id)
LEFT JOIN staging.closing_lines AS line USING (game_id)
LEFT JOIN staging.weather_game_window AS weather USING (game_id)
LEFT JOIN staging.team_stats AS home ON home.game_id = g.game_id AND home.team = g.home_team
LEFT JOIN staging.team_stats AS away ON away.game_id = g.game_id AND away.team = g.away_team;

COMMENT ON VIEW mart.game_summary IS 'One row for each game, with what is known after it.';
