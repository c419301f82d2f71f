-- Schedules and results, synthetic: every team rests once, home and away alternate, the better teams win more often.
-- Then the playoffs, round by round, the best remaining against the last remaining of each conference.

BEGIN;

SET LOCAL session_replication_role = replica;  -- references hold by construction; the tests count orphans

-- A team is at home in the even or in the odd weeks of a season, and rests in one week.
CREATE TABLE seed.team_season AS
SELECT s.season, s.weeks, t.team, t.conference,
       place % 2 AS phase,
       CASE WHEN count(*) OVER season = 32 THEN 5 + (place - 1) / 4
            WHEN place <= 21 THEN 6 + (place - 1) / 3
            ELSE (ARRAY[1, 2, 3, 4, 5, 13, 14, 15, 16, 17])[place - 21] END AS rests_in
FROM (
    SELECT s.season, t.team,
           row_number() OVER (PARTITION BY s.season ORDER BY seed.key(t.team || ' place ' || s.season))::integer AS place
    FROM raw.seasons AS s JOIN raw.teams AS t ON t.first_season <= s.season
) AS placed
JOIN raw.seasons AS s USING (season)
JOIN raw.teams AS t USING (team)
WINDOW season AS (PARTITION BY s.season);

CREATE TABLE seed.pairing AS
WITH playing AS (
    SELECT t.season, week, t.team, t.phase,
           row_number() OVER (PARTITION BY t.season, week
                              ORDER BY (t.phase + week) % 2, seed.key(t.team || ' week ' || t.season || ' ' || week)) AS place,
           count(*) OVER (PARTITION BY t.season, week) AS teams
    FROM seed.team_season AS t CROSS JOIN LATERAL generate_series(1, t.weeks) AS week
    WHERE week <> t.rests_in
)
SELECT home.season, home.week, home.team AS home_team, away.team AS away_team, home.place, home.teams / 2 AS games
FROM playing AS home
JOIN playing AS away ON away.season = home.season AND away.week = home.week AND away.place = home.place + home.teams / 2;

-- One game on Thursday, one on Monday, one on Sunday night, a quarter of the others late on Sunday afternoon.
CREATE FUNCTION seed.kickoff(opening date, week integer, place bigint, games bigint) RETURNS timestamptz
LANGUAGE sql STABLE
RETURN (opening + (week - 1) * 7 + CASE place WHEN 1 THEN 0 WHEN 2 THEN 4 ELSE 3 END
        + CASE WHEN place <= 3 THEN time '20:20' WHEN place > games - 4 THEN time '16:25' ELSE time '13:00' END)
       AT TIME ZONE 'America/New_York';

CREATE FUNCTION seed.game_id(season integer, week integer, away text, home text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN season || '_' || lpad(week::text, 2, '0') || '_' || away || '_' || home;

INSERT INTO raw.games
SELECT id, p.season, p.week, 'REG', at, p.home_team, p.away_team, home.stadium_id, false, r.home_score, r.away_score
FROM seed.pairing AS p
JOIN raw.seasons AS s USING (season)
JOIN raw.teams AS home ON home.team = p.home_team
CROSS JOIN LATERAL seed.game_id(p.season, p.week, p.away_team, p.home_team) AS id
CROSS JOIN LATERAL seed.kickoff(s.opening_thursday, p.week, p.place, p.games) AS at
CROSS JOIN LATERAL seed.result(id, p.season, p.home_team, p.away_team, false, false) AS r
ORDER BY at, id;

-- Who is in: the teams with the most wins of each conference; ties go by hash, as by lot.
CREATE TABLE seed.playoffs AS
SELECT ranked.season, ranked.conference, ranked.team, ranked.seeding, true AS alive
FROM (
    SELECT t.season, t.conference, t.team,
           row_number() OVER (PARTITION BY t.season, t.conference
                              ORDER BY count(*) FILTER (WHERE won.team = t.team) DESC, seed.key(t.team || ' lot ' || t.season)) AS seeding
    FROM seed.team_season AS t
    LEFT JOIN (
        SELECT season, CASE WHEN home_score > away_score THEN home_team WHEN away_score > home_score THEN away_team END AS team
        FROM raw.games
    ) AS won ON won.season = t.season AND won.team = t.team
    GROUP BY t.season, t.conference, t.team
) AS ranked
JOIN raw.seasons AS s USING (season)
WHERE ranked.seeding <= s.playoff_teams / 2;

-- One round: in the first the best of each conference may rest, in the last the two conferences meet on neutral ground.
CREATE PROCEDURE seed.play(round text, weeks_after integer, rest boolean)
LANGUAGE sql
AS $$
    WITH standing AS (
        SELECT p.season, p.team, CASE WHEN round = 'SB' THEN 'both' ELSE p.conference END AS half, p.seeding,
               row_number() OVER pool AS place, count(*) OVER (PARTITION BY p.season, CASE WHEN round = 'SB' THEN 'both' ELSE p.conference END) AS teams
        FROM seed.playoffs AS p JOIN raw.seasons AS s USING (season)
        WHERE p.alive AND NOT (rest AND p.seeding <= CASE s.playoff_teams WHEN 14 THEN 1 ELSE 2 END)
        WINDOW pool AS (PARTITION BY p.season, CASE WHEN round = 'SB' THEN 'both' ELSE p.conference END ORDER BY p.seeding, p.conference)
    ), met AS (
        SELECT s.season, s.weeks + weeks_after AS week, home.team AS home, away.team AS away, t.stadium_id,
               ((s.opening_thursday + (s.weeks + weeks_after - 1) * 7 + CASE WHEN round = 'SB' THEN 10 WHEN home.place = 1 THEN 2 ELSE 3 END
                 + CASE home.half WHEN 'AFC' THEN time '16:30' WHEN 'NFC' THEN time '20:15' ELSE time '18:30' END)
                AT TIME ZONE 'America/New_York') AS kickoff
        FROM standing AS home
        JOIN standing AS away ON away.season = home.season AND away.half = home.half AND away.place = home.teams + 1 - home.place
        JOIN raw.seasons AS s ON s.season = home.season
        JOIN raw.teams AS t ON t.team = home.team
        WHERE home.place < away.place
    )
    INSERT INTO raw.games
    SELECT id, m.season, m.week, round, m.kickoff, m.home, m.away, CASE WHEN round = 'SB' THEN 'NO' ELSE m.stadium_id END,
           round = 'SB', r.home_score, r.away_score
    FROM met AS m
    CROSS JOIN LATERAL seed.game_id(m.season, m.week, m.away, m.home) AS id
    CROSS JOIN LATERAL seed.result(id, m.season, m.home, m.away, round = 'SB', true) AS r
    ORDER BY m.kickoff, id;

    UPDATE seed.playoffs AS p SET alive = false
    FROM raw.games AS g
    WHERE g.season = p.season AND g.game_type = round
      AND p.team = CASE WHEN g.home_score > g.away_score THEN g.away_team ELSE g.home_team END;
$$;

CALL seed.play('WC', 1, true);
CALL seed.play('DIV', 2, false);
CALL seed.play('CON', 3, false);
CALL seed.play('SB', 4, false);

ANALYZE raw.games;

COMMIT;
