-- One row for each game: what was known about both teams and about the market at kickoff, and nothing later.

CREATE OR REPLACE VIEW mart.asof_team_features AS
SELECT g.game_id,
       g.season,
       g.week,
       g.kickoff,
       g.home_team,
       g.away_team,
       home.points                                            AS home_points,
       home.points_allowed                                    AS home_points_allowed,
       home.epa_per_play                                      AS home_epa_per_play,
       home.success_rate                                      AS home_success_rate,
       g.kickoff - home.last_kickoff                          AS home_rest,
       away.points                                            AS away_points,
       away.points_allowed                                    AS away_points_allowed,
       away.epa_per_play                                      AS away_epa_per_play,
       away.success_rate                                      AS away_success_rate,
       g.kickoff - away.last_kickoff                          AS away_rest,
       market.opening_spread_home,
       market.spread_home,
       market.total_points,
       market.captures
FROM raw.games AS g
CROSS JOIN LATERAL mart.team_form(g.home_team, g.season, g.kickoff, 5) AS home
CROSS JOIN LATERAL mart.team_form(g.away_team, g.season, g.kickoff, 5) AS away
CROSS JOIN LATERAL (
    SELECT (array_agg(o.spread_home ORDER BY o.captured_at, o.book))[1]               AS opening_spread_home,
           (array_agg(o.spread_home ORDER BY o.captured_at DESC, o.book))[1]          AS spread_home,
           (array_agg(o.total_points ORDER BY o.captured_at DESC, o.book))[1]         AS total_points,
           count(*)                                                                   AS captures
    FROM raw.odds_history AS o
    WHERE o.game_id = g.game_id AND o.captured_at < g.kickoff
) AS market;

COMMENT ON VIEW mart.asof_team_features IS 'What was known at kickoff: form of both teams over five games, and the market.';
