-- Form of every player of one week over his earlier games of the season; the latest weeks first.
SELECT season, week FROM raw.games WHERE game_type = 'REG' GROUP BY season, week ORDER BY season DESC, week DESC LIMIT 40;

SELECT now.game_id, now.player_id, count(earlier.game_id) AS games, avg(earlier.snaps) AS snaps,
       avg(earlier.yards) AS yards, avg(earlier.epa) AS epa
FROM staging.player_game_stats AS now
LEFT JOIN staging.player_game_stats AS earlier
  ON earlier.player_id = now.player_id AND earlier.season = now.season AND earlier.week < now.week
WHERE now.season = $1 AND now.week = $2
GROUP BY now.game_id, now.player_id;
