-- Dashboard: standings of a season.
SELECT season FROM raw.seasons ORDER BY season DESC;

SELECT t.conference, t.division, s.team, count(*) FILTER (WHERE s.points > s.points_allowed) AS won,
       count(*) FILTER (WHERE s.points < s.points_allowed) AS lost, sum(s.points - s.points_allowed) AS margin
FROM staging.team_stats AS s
JOIN raw.teams AS t USING (team)
WHERE s.season = $1
GROUP BY t.conference, t.division, s.team
ORDER BY t.conference, t.division, won DESC;
