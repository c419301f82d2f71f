-- Question modified: which larger tables changed much since they were last analyzed, or never were?
-- Privileges: none; takes no lock on any of them
-- Servers: 14-18
WITH tables AS (
    SELECT
        c.oid,
        n.nspname,
        c.relname,
        c.reltuples::float8 AS tuples,
        c.relpages AS pages,
        pg_stat_get_live_tuples(c.oid) AS live,
        pg_stat_get_mod_since_analyze(c.oid) AS modified,
        pg_stat_get_tuples_updated(c.oid) + pg_stat_get_tuples_deleted(c.oid) AS rewritten,
        greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) AS analyzed_at,
        c.reloptions
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm')
      AND c.relpersistence <> 't'
      AND n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'
      AND n.nspname !~ '^_timescaledb_(catalog|config|cache|functions|debug)$'
), options AS (
    SELECT
        t.*,
        coalesce(o.enabled, true) AS enabled,
        coalesce(o.threshold, current_setting('autovacuum_analyze_threshold')::float8)
            + coalesce(o.scale, current_setting('autovacuum_analyze_scale_factor')::float8) * greatest(t.tuples, 0) AS due_at
    FROM tables t
    CROSS JOIN LATERAL (
        SELECT
            bool_and(option_value::bool) FILTER (WHERE option_name = 'autovacuum_enabled') AS enabled,
            max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_analyze_threshold') AS threshold,
            max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_analyze_scale_factor') AS scale
        FROM pg_options_to_table(t.reloptions)
        WHERE option_name LIKE 'autovacuum%%'
    ) AS o
)
SELECT
    format('%%I.%%I', nspname, relname) AS name,
    nspname AS schema,
    relname AS relation,
    tuples,
    pages,
    live,
    modified,
    rewritten,
    analyzed_at,
    enabled,
    due_at,
    current_setting('autovacuum')::bool AND current_setting('track_counts')::bool AS running,
    extract(epoch FROM current_setting('autovacuum_naptime')::interval)::float8 AS naptime_s,
    EXISTS (SELECT FROM pg_stats s WHERE s.schemaname = nspname AND s.tablename = relname) AS known
FROM options
WHERE greatest(tuples, live) >= %(rows)s
  AND (
      modified >= %(rows)s AND modified >= %(share)s * greatest(tuples, live)
      OR analyzed_at IS NULL
  )
ORDER BY modified DESC
LIMIT 50;

-- Question files: how many pages have these tables now, where nobody holds or awaits them for himself?
-- Privileges: none; takes AccessShareLock for a moment
-- Servers: 14-18
SELECT
    format('%%I.%%I', n.nspname, c.relname) AS name,
    pg_relation_size(c.oid) / current_setting('block_size')::int8 AS pages
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE format('%%I.%%I', n.nspname, c.relname) = ANY (%(names)s::text[])
  AND NOT EXISTS (
      SELECT FROM pg_locks l
      WHERE l.relation = c.oid AND l.mode = 'AccessExclusiveLock'
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  );
