-- How a team did in its games before a given instant: leak-free by construction, since nothing at or after
-- `as_of` is read. One row, also for a team without earlier games in the season.

CREATE OR REPLACE FUNCTION mart.team_form(of_team text, of_season smallint, as_of timestamptz, last_games integer)
RETURNS TABLE (
    games           bigint,
    points          numeric,
    points_allowed  numeric,
    epa_per_play    numeric,
    success_rate    numeric,
    turnovers       numeric,
    last_kickoff    timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT count(*), avg(recent.points), avg(recent.points_allowed), avg(recent.epa_per_play),
           avg(recent.success_rate), avg(recent.turnovers), max(recent.kickoff)
    FROM (
        SELECT s.*
        FROM staging.team_stats AS s
        WHERE s.team = of_team AND s.kickoff < as_of AND s.season = of_season
        ORDER BY s.kickoff DESC
        LIMIT last_games
    ) AS recent
$$;

COMMENT ON FUNCTION mart.team_form(text, smallint, timestamptz, integer)
IS 'Means over the last games of a team before an instant, within the season.';
