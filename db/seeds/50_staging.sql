-- What ETL derives from games, odds and weather, and the synthetic figures of teams and players.
-- Player figures stop with season 2024: those of 2025 arrive late (see db/demonstration).

BEGIN;

SET LOCAL session_replication_role = replica;
SET LOCAL work_mem = '128MB';

INSERT INTO staging.weather_game_window (game_id, temp_f, wind_mph, humidity_pct, precip_in, roof_closed, hours_observed, wind_gust_mph)
SELECT g.game_id, avg(w.temp_f), avg(w.wind_mph), avg(w.humidity_pct), sum(w.precip_in), bool_and(w.roof_closed), count(*), max(w.wind_gust_mph)
FROM raw.games AS g
JOIN raw.weather_hourly AS w
  ON w.stadium_id = g.stadium_id AND w.observed_at >= g.kickoff - interval '1 hour' AND w.observed_at < g.kickoff + interval '3 hours'
GROUP BY g.game_id;

INSERT INTO staging.closing_lines (game_id, spread_home, total_points, books)
SELECT game_id,
       round((percentile_cont(0.5) WITHIN GROUP (ORDER BY spread_home))::numeric * 2) / 2,
       round((percentile_cont(0.5) WITHIN GROUP (ORDER BY total_points))::numeric * 2) / 2,
       count(*)
FROM (
    SELECT DISTINCT ON (g.game_id, o.book) g.game_id, o.spread_home, o.total_points
    FROM raw.games AS g
    JOIN raw.odds_history AS o ON o.game_id = g.game_id AND o.captured_at < g.kickoff AND o.captured_at >= g.kickoff - interval '8 hours'
    ORDER BY g.game_id, o.book, o.captured_at DESC
) AS last_line
GROUP BY game_id;

INSERT INTO staging.team_stats (game_id, team, opponent, season, week, kickoff, is_home, points, points_allowed,
                                plays, yards, turnovers, epa_per_play, success_rate)
SELECT g.game_id, side.team, side.opponent, g.season, g.week, g.kickoff, side.is_home, side.points, side.allowed,
       58 + (side.h & 15), 190 + 6 * side.points + 40 * seed.normal(side.h),
       least(5, greatest(0, 1.3 - (side.points - side.allowed) / 14.0 + seed.normal(side.h >> 5))),
       (side.points - 22) / 90.0 + 0.05 * seed.normal(side.h >> 9),
       least(0.7, greatest(0.2, 0.44 + (side.points - 22) / 250.0 + 0.03 * seed.normal(side.h >> 13)))
FROM raw.games AS g
CROSS JOIN LATERAL (VALUES
    (g.home_team, g.away_team, true, g.home_score, g.away_score, seed.key(g.game_id || ' home')),
    (g.away_team, g.home_team, false, g.away_score, g.home_score, seed.key(g.game_id || ' away'))
) AS side(team, opponent, is_home, points, allowed, h)
ORDER BY g.kickoff, g.game_id;

INSERT INTO staging.player_game_stats (game_id, player_id, season, week, team, snaps, yards, epa)
SELECT s.game_id, p.player_id, s.season, s.week, s.team, 5 + (h.h & 63), greatest(-9, 25 + 30 * seed.normal(h.h)), 0.2 * seed.normal(h.h >> 5)
FROM staging.team_stats AS s
JOIN raw.players AS p USING (team)
CROSS JOIN LATERAL (SELECT hashint8extended(seed.key(s.game_id), p.player_id)) AS h(h)
WHERE s.season IN (2023, 2024)
ORDER BY s.kickoff, s.game_id, p.player_id;

SELECT setval(pg_get_serial_sequence('raw.odds_history', 'odds_id'), max(odds_id)) FROM raw.odds_history;

DROP SCHEMA seed CASCADE;

COMMIT;
