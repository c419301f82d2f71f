-- Question home: in which schema is pg_stat_statements, and is its library loaded?
-- Privileges: none
-- Servers: 14-18
SELECT
    (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
     WHERE e.extname = 'pg_stat_statements') AS schema,
    EXISTS (SELECT FROM pg_settings WHERE name = 'pg_stat_statements.max') AS loaded;

-- Question counters: what has each statement in this database cost so far, without our own?
--   An EXPLAIN of ours is counted under the id of what it explains, and so told by its text.
-- Privileges: pg_read_all_stats to see the statements of others
-- Servers: 14-18
SELECT
    clock_timestamp() AS at,
    queryid::text AS query_id,
    sum(calls)::int8 AS calls,
    sum(total_exec_time) AS total_ms,
    sum(calls * (stddev_exec_time ^ 2 + mean_exec_time ^ 2)) AS square_ms,
    sum(rows)::int8 AS rows,
    sum(shared_blks_hit + local_blks_hit)::int8 AS blocks_hit,
    sum(shared_blks_read + local_blks_read)::int8 AS blocks_read,
    sum(temp_blks_read + temp_blks_written)::int8 AS temp_blocks,
    bool_or(toplevel) AS toplevel
FROM {pg_stat_statements}(true)
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND queryid IS NOT NULL
  AND strpos(query, '/* runbook */') = 0
GROUP BY queryid;

-- Question texts: what do these statements say?
-- Privileges: pg_read_all_stats to see the statements of others
-- Servers: 14-18
SELECT DISTINCT ON (queryid) queryid::text AS query_id, query AS text
FROM {pg_stat_statements}(true)
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND queryid = ANY (%(query_ids)s::int8[])
  AND strpos(query, '/* runbook */') = 0;

-- Question hidden: how many statements of others may this role not see?
-- Privileges: none
-- Servers: 14-18
SELECT count(*) AS hidden
FROM {pg_stat_statements}(false)
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND queryid IS NULL;

-- Question reset: since when does pg_stat_statements count?
-- Privileges: none
-- Servers: 14-18
SELECT stats_reset AS since FROM {pg_stat_statements_info};

-- Question running: what is being executed at this moment?
-- Privileges: pg_read_all_stats to see the statements of others
-- Servers: 14-18
SELECT
    pid,
    query AS text,
    query_start AS started_at,
    extract(epoch FROM clock_timestamp() - query_start) AS seconds,
    wait_event_type
FROM pg_stat_activity
WHERE datname = current_database()
  AND backend_type = 'client backend'
  AND state = 'active'
  AND pid <> pg_backend_pid()
  AND application_name NOT LIKE 'runbook/%%';
