-- What is true of the platform whatever the day. A restore drill asks each statement of the restored database: it must
-- run, and answer no row that holds false. Columns that are not false say where.

-- There are games, and the latest season is not far behind.
SELECT count(*) > 0 AS there_are_games FROM raw.games;

-- Every line belongs to a game.
SELECT o.game_id, false AS has_its_game
FROM raw.odds_history o
LEFT JOIN raw.games g USING (game_id)
WHERE g.game_id IS NULL
LIMIT 5;

-- A game has one summary at the most.
SELECT game_id, count(*) = 1 AS has_one_summary FROM mart.game_summary GROUP BY game_id HAVING count(*) > 1;
