-- Pseudo-random numbers from hashes: the same on every machine and in every version, whatever the order of work.
-- Only integers and the four basic operations of arithmetic are used, so that no digit depends on a math library.
-- The schema is dropped again by the last file of the seeds.
--
-- How much is made: every season since 1999, or with  SET platform.scale = 0.1  the latest tenth of them (at least three).

BEGIN;

DROP SCHEMA IF EXISTS seed CASCADE;
CREATE SCHEMA seed;

-- From 0 up to 1.
CREATE FUNCTION seed.uniform(h bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (h & 1073741823)::float8 / 1073741824;

-- Mean 0, standard deviation 1: the sum of four sixteen-bit numbers, scaled.
CREATE FUNCTION seed.normal(h bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ((h & 65535) + ((h >> 16) & 65535) + ((h >> 32) & 65535) + ((h >> 48) & 65535) - 131070)::float8 / 37837.2;

CREATE FUNCTION seed.key(words text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN hashtextextended(words, 1999);

CREATE FUNCTION seed.first_season() RETURNS integer LANGUAGE sql STABLE
RETURN 2026 - greatest(3, round(27 * coalesce(nullif(current_setting('platform.scale', true), '')::numeric, 1)))::integer;

-- How much better than the average a team is in a season, in points: part franchise, part season.
CREATE FUNCTION seed.strength(team text, season integer) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 2.5 * seed.normal(seed.key(team)) + 4.5 * seed.normal(seed.key(team || season));

-- A played game: the expected margin of the home team, and both scores. Only a game of the season can end level.
CREATE FUNCTION seed.result(game_id text, season integer, home text, away text, neutral boolean, playoff boolean)
RETURNS TABLE (expected float8, home_score integer, away_score integer)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT e.expected,
           greatest(0, floor((t.points + decided.margin) / 2))::integer,
           greatest(0, floor((t.points + decided.margin) / 2))::integer - decided.margin
    FROM (SELECT seed.strength(home, season) - seed.strength(away, season) + CASE WHEN neutral THEN 0 ELSE 2.3 END) AS e(expected)
    CROSS JOIN LATERAL (SELECT round(e.expected + 12.6 * seed.normal(seed.key(game_id || ' margin')))::integer) AS m(margin)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN m.margin <> 0 OR (NOT playoff AND seed.uniform(seed.key(game_id || ' tie')) < 0.1) THEN m.margin
                    WHEN seed.uniform(seed.key(game_id || ' winner')) < 0.5 THEN 3 ELSE -3 END
    ) AS decided(margin)
    CROSS JOIN LATERAL (
        SELECT greatest(abs(decided.margin), round(44.3 + 9.5 * seed.normal(seed.key(game_id || ' points')))::integer)
    ) AS t(points)
$$;

COMMIT;
