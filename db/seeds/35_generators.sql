-- The two large tables as procedures of a range of seasons, so that two sessions can each load one half.
-- MATERIALIZED and OFFSET 0 keep what is computed once for a game, a day or a row from being computed for each use;
-- tenths and halves are counted as integers, since the way from float8 to numeric is long.

BEGIN;

-- Fifty captures of each game by six books: 49 in the week before kickoff, moving from the opening to the closing line,
-- and one in play, half an hour after kickoff. Rows lie game by game, as the series that depends on the game makes sure.
CREATE PROCEDURE seed.load_odds(from_season integer, to_season integer)
LANGUAGE sql
AS $$
    WITH game AS MATERIALIZED (
        SELECT n.number, n.game_id, n.kickoff, n.h,
               44.3 + 3 * seed.normal(hashint8extended(n.h, -1)) AS points,
               -(r.expected + 1.2 * seed.normal(hashint8extended(n.h, -2))) AS closing,
               -(r.expected + 2.4 * seed.normal(hashint8extended(n.h, -3))) AS opening
        FROM (
            SELECT row_number() OVER (ORDER BY kickoff, game_id) AS number, g.*, seed.key(g.game_id) AS h FROM raw.games AS g
        ) AS n
        CROSS JOIN LATERAL seed.result(n.game_id, n.season, n.home_team, n.away_team, n.neutral_site, false) AS r
        WHERE n.season BETWEEN from_season AND to_season
        ORDER BY n.number
    )
    INSERT INTO raw.odds_history (odds_id, game_id, book, captured_at, spread_home, total_points, moneyline_home, moneyline_away)
    SELECT odds_id, game_id, book, captured_at, half_points * 0.5, half_total * 0.5,
           CASE WHEN half_points < 0 THEN -108 + 12 * half_points ELSE 102 + 10 * half_points END,
           CASE WHEN half_points > 0 THEN -108 - 12 * half_points ELSE 102 - 10 * half_points END
    FROM (
        SELECT number * 300 + step * 6 + place AS odds_id, game_id, book,
               kickoff + CASE WHEN step = 49 THEN interval '30 minutes'
                              ELSE interval '1 second' * ((step - 49) * 12342 + (h & 8191)) END AS captured_at,
               round((opening + (closing - opening) * least(step, 48) / 48 + 0.35 * seed.normal(h)) * 2)::integer AS half_points,
               round((points + 1.1 * seed.normal(h >> 3)) * 2)::integer AS half_total
        FROM (
            SELECT game.*, step, place, (ARRAY['anchor', 'beacon', 'cutter', 'dinghy', 'easter', 'furlong'])[place + 1] AS book,
                   hashint8extended(game.h, step * 6 + place) AS h
            FROM game
            CROSS JOIN LATERAL generate_series((game.number * 0)::integer, 49) AS step
            CROSS JOIN LATERAL generate_series(step * 0, 5) AS place
            OFFSET 0
        ) AS line (number, game_id, kickoff, game_h, points, closing, opening, step, place, book, h)
        OFFSET 0
    ) AS capture;
$$;

-- Whole days from six before each game to the day after. Temperature by latitude, month and hour; no wind under a roof.
CREATE PROCEDURE seed.load_weather(from_season integer, to_season integer)
LANGUAGE sql
AS $$
    WITH played AS MATERIALIZED (
        SELECT DISTINCT stadium_id, date_trunc('day', kickoff, 'UTC') + interval '1 day' * back AS day
        FROM raw.games CROSS JOIN generate_series(-6, 1) AS back
        WHERE season BETWEEN from_season AND to_season
    ), sky AS MATERIALIZED (
        SELECT s.*, p.day, seed.key(p.stadium_id || ' ' || extract(epoch FROM p.day)) AS h, m.*
        FROM played AS p
        JOIN raw.stadiums AS s USING (stadium_id)
        JOIN (VALUES (8, 74.0, 0.7, -8), (9, 67.0, 0.9, -4), (10, 56.0, 1.4, 2), (11, 46.0, 1.8, 8),
                     (12, 36.0, 2.2, 12), (1, 31.0, 2.4, 15), (2, 34.0, 2.3, 13)) AS m (month, at_40, per_degree, pacific)
          ON m.month = extract(month FROM p.day AT TIME ZONE 'UTC')
    ), day AS MATERIALIZED (
        SELECT stadium_id, day, roof, h, (h & 1023) < 300 AS wet, 8 + 4 * seed.normal(h >> 3) AS wind,
               45 - round(-longitude / 15)::integer AS from_peak,
               (at_40 + per_degree * (40 - latitude) + CASE WHEN longitude < -115 THEN pacific ELSE 0 END - elevation_ft / 1500)::float8
                   + 7 * seed.normal(h) AS outside
        FROM sky
    ), field AS MATERIALIZED (
        SELECT *, roof = 'dome' OR (roof = 'retractable' AND (wet OR outside < 55 OR outside > 82)) AS closed FROM day
        ORDER BY day, stadium_id
    )
    INSERT INTO raw.weather_hourly (stadium_id, observed_at, temp_f, wind_mph, humidity_pct, precip_in, roof_closed, wind_gust_mph, visibility_mi)
    SELECT stadium_id, observed_at, tenths_temp * 0.1, tenths_wind * 0.1,
           CASE WHEN closed THEN 45 WHEN rain THEN 80 + (h & 15) ELSE 50 + (h & 31) END,
           CASE WHEN rain THEN (1 + (h & 3) * ((h >> 2) & 3)) * 0.01 ELSE 0 END,
           closed,
           tenths_wind * (120 + (h & 63)) / 100 * 0.1,
           CASE WHEN rain THEN (30 + (h & 63)) * 0.1 ELSE 10 END
    FROM (
        SELECT stadium_id, observed_at, closed, h,
               CASE WHEN closed THEN 690 + (h & 31)
                    ELSE round((outside + 6 - abs((hour + from_peak) % 24 - 12) + 1.2 * seed.normal(h)) * 10) END::integer AS tenths_temp,
               CASE WHEN closed THEN 0 ELSE greatest(0, round((wind + 1.5 * seed.normal(h >> 7)) * 10)) END::integer AS tenths_wind,
               wet AND NOT closed AND (h & 7) < 3 AS rain
        FROM (
            SELECT f.stadium_id, f.day + interval '1 hour' * hour AS observed_at, f.closed, f.wet, f.wind, f.outside, f.from_peak, hour,
                   hashint8extended(f.h, hour) AS h
            FROM field AS f CROSS JOIN LATERAL generate_series(f.from_peak * 0, 23) AS hour
            OFFSET 0
        ) AS hourly
        OFFSET 0
    ) AS observed;
$$;

COMMIT;
