-- Question waits: who waits for a lock, for how long, on what, and behind whom?
-- Privileges: pg_read_all_stats to see the statements of others
-- Servers: 14-18
SELECT
    a.pid,
    pg_blocking_pids(a.pid) AS blockers,
    extract(epoch FROM clock_timestamp() - coalesce(w.waitstart, a.state_change))::float8 AS waits_s,
    w.mode,
    w.locktype,
    CASE WHEN c.oid IS NOT NULL THEN format('%%I.%%I', n.nspname, c.relname) ELSE h.relation END AS relation,
    coalesce(w.transactionid::text, w.virtualxid) AS awaited,
    left(a.query, 1000) AS query,
    a.application_name,
    a.usename AS user_name
FROM pg_stat_activity a
JOIN LATERAL (
    SELECT l.*
    FROM pg_locks l WHERE l.pid = a.pid AND NOT l.granted
    LIMIT 1
) AS w ON true
LEFT JOIN pg_class c ON c.oid = w.relation AND w.database = (SELECT oid FROM pg_database WHERE datname = current_database())
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT format('%%I.%%I', hn.nspname, hc.relname) AS relation
    FROM pg_locks t
    JOIN pg_class hc ON hc.oid = t.relation AND hc.relkind IN ('r', 'p')
    JOIN pg_namespace hn ON hn.oid = hc.relnamespace
    WHERE t.pid = a.pid AND t.granted AND t.locktype IN ('tuple', 'relation')
      AND t.mode IN ('ExclusiveLock', 'RowExclusiveLock', 'RowShareLock', 'AccessExclusiveLock')
      AND t.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY t.locktype = 'tuple' DESC
    LIMIT 1
) AS h ON w.relation IS NULL
WHERE a.datname = current_database() OR a.datname IS NULL;

-- Question sessions: what are the sessions that others wait for?
-- Privileges: pg_read_all_stats to see the statements of others
-- Servers: 14-18
SELECT
    a.pid,
    coalesce(a.application_name, '') AS application_name,
    a.usename AS user_name,
    a.client_addr::text AS client,
    a.backend_type,
    coalesce(a.state, 'unknown') AS state,
    extract(epoch FROM clock_timestamp() - a.state_change)::float8 AS state_s,
    extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS transaction_s,
    left(a.query, 1000) AS query,
    a.wait_event_type,
    EXISTS (
        SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.granted AND l.locktype = 'advisory'
    ) AS advisory
FROM pg_stat_activity a
WHERE a.pid = ANY (%(pids)s::int[]);

-- Question prepared: which prepared transactions hold locks?
-- Privileges: none
-- Servers: 14-18
SELECT
    p.gid,
    p.transaction::text AS awaited,
    p.owner AS user_name,
    extract(epoch FROM clock_timestamp() - p.prepared)::float8 AS prepared_s,
    ARRAY(
        SELECT DISTINCT format('%%I.%%I', n.nspname, c.relname)
        FROM pg_locks own
        JOIN pg_locks l ON l.virtualtransaction = own.virtualtransaction AND l.pid IS NULL
        JOIN pg_class c ON c.oid = l.relation
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE own.locktype = 'transactionid' AND own.transactionid = p.transaction AND own.pid IS NULL
          AND c.relkind IN ('r', 'p')
    ) AS relations
FROM pg_prepared_xacts p
WHERE p.database = current_database();
