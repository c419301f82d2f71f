-- Features of all games of one week, as of kickoff; the latest weeks first.
SELECT season, week FROM raw.games WHERE game_type = 'REG' GROUP BY season, week ORDER BY season DESC, week DESC LIMIT 40;

SELECT * FROM mart.asof_team_features WHERE season = $1 AND week = $2 ORDER BY kickoff, game_id;
