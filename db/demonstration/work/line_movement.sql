-- Dashboard: how the lines of one game moved.
SELECT game_id FROM raw.games ORDER BY kickoff DESC, game_id LIMIT 40;

SELECT book, captured_at, spread_home, total_points FROM raw.odds_history WHERE game_id = $1 ORDER BY book, captured_at;
