-- Question dead: which larger tables hold many dead rows, and may autovacuum see to them?
-- Privileges: none; takes no lock on any of them
-- Servers: 14-18
WITH tables AS (
    SELECT
        format('%%I.%%I', n.nspname, c.relname) AS name,
        c.reltuples::float8 AS tuples,
        c.relpages AS pages,
        pg_stat_get_live_tuples(c.oid) AS live,
        pg_stat_get_dead_tuples(c.oid) AS dead,
        greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed_at,
        c.reloptions
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm')
      AND c.relpersistence <> 't'
      AND n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'
      AND n.nspname !~ '^_timescaledb_(catalog|config|cache|functions|debug)$'
)
SELECT
    t.name,
    t.live,
    t.dead,
    t.pages,
    t.vacuumed_at,
    coalesce(o.enabled, true) AS enabled,
    current_setting('autovacuum')::bool AND current_setting('track_counts')::bool AS running,
    coalesce(o.threshold, current_setting('autovacuum_vacuum_threshold')::float8)
        + coalesce(o.scale, current_setting('autovacuum_vacuum_scale_factor')::float8) * greatest(t.tuples, 0) AS due_at,
    extract(epoch FROM current_setting('autovacuum_naptime')::interval)::float8 AS naptime_s
FROM tables t
CROSS JOIN LATERAL (
    SELECT
        bool_and(option_value::bool) FILTER (WHERE option_name = 'autovacuum_enabled') AS enabled,
        max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold') AS threshold,
        max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor') AS scale
    FROM pg_options_to_table(t.reloptions)
    WHERE option_name LIKE 'autovacuum%%'
) AS o
WHERE t.dead >= %(rows)s AND t.dead >= %(share)s * greatest(t.live + t.dead, 1)
ORDER BY t.dead DESC
LIMIT 50;

-- Question horizon: who keeps vacuum from removing what is dead, the oldest first?
-- Privileges: pg_read_all_stats to see the sessions of others
-- Servers: 14-18
SELECT kind, name, age
FROM (
    SELECT 'session' AS kind, format('pid %%s of %%s', pid, coalesce(nullif(application_name, ''), 'unnamed')) AS name,
           greatest(age(backend_xmin), age(backend_xid))::int8 AS age
    FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
    UNION ALL
    SELECT 'slot', slot_name, greatest(age(xmin), age(catalog_xmin))::int8 FROM pg_replication_slots
    UNION ALL
    SELECT 'prepared transaction', gid, age(transaction)::int8 FROM pg_prepared_xacts
) AS holders
WHERE age IS NOT NULL
ORDER BY age DESC
LIMIT 3;
