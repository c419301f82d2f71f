-- Wind and scoring: hourly weather joined to the games of a season.
SELECT season FROM raw.seasons ORDER BY season DESC;

SELECT width_bucket(w.wind_mph, 0, 30, 6) AS wind, count(DISTINCT g.game_id) AS games, avg(g.home_score + g.away_score) AS points
FROM raw.games AS g
JOIN raw.weather_hourly AS w
  ON w.stadium_id = g.stadium_id AND w.observed_at BETWEEN g.kickoff AND g.kickoff + interval '3 hours'
WHERE g.season = $1
GROUP BY 1
ORDER BY 1;
