-- Question waits: who waits for a lock, behind whom, and for how long?
-- Privileges: none
-- Servers: 14-18
SELECT
    l.pid,
    array_agg(DISTINCT b.pid) FILTER (WHERE b.pid IS NOT NULL) AS blockers,
    max(coalesce(extract(epoch FROM clock_timestamp() - l.waitstart), 0))::float8 AS waits_s,
    max(extract(epoch FROM l.waitstart))::float8 AS since,
    bool_or(l.locktype <> 'relation' OR l.mode IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')) AS client
FROM pg_locks AS l
LEFT JOIN LATERAL unnest(pg_blocking_pids(l.pid)) AS b (pid) ON true
WHERE NOT l.granted
GROUP BY l.pid;

-- Question sessions: what are these sessions, and have they written anything?
-- Privileges: pg_read_all_stats to see the state and the statements of others
-- Servers: 14-18
SELECT
    a.pid,
    coalesce(a.application_name, '') AS application,
    coalesce(a.usename, a.backend_type, '') AS user_name,
    coalesce(a.state, '') AS state,
    coalesce(a.backend_type, '') AS backend_type,
    extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS transaction_s,
    left(regexp_replace(coalesce(a.query, ''), '\s+', ' ', 'g'), 80) AS statement,
    to_json(a.backend_start) #>> '{}' AS began,
    a.query LIKE 'autovacuum:%%to prevent wraparound%%' AS wraparound,
    a.backend_xid IS NULL AND NOT EXISTS (
        SELECT FROM pg_locks AS l
        WHERE l.pid = a.pid
          AND l.granted
          AND (l.locktype IN ('advisory', 'tuple', 'transactionid')
               OR l.locktype = 'relation' AND l.mode <> 'AccessShareLock')
    ) AS reads_only
FROM pg_stat_activity AS a
WHERE a.pid = ANY (%(pids)s::int[]);

-- Question prepared: which prepared transactions hold locks that these sessions wait for?
-- Privileges: none
-- Servers: 14-18
SELECT DISTINCT
    p.gid, p.owner AS user_name, extract(epoch FROM clock_timestamp() - p.prepared)::float8 AS prepared_s
FROM pg_locks AS waiting
JOIN pg_locks AS held
    ON held.granted AND held.pid IS NULL
    AND (held.locktype, held.database, held.relation, held.transactionid)
        IS NOT DISTINCT FROM (waiting.locktype, waiting.database, waiting.relation, waiting.transactionid)
JOIN pg_locks AS own
    ON own.virtualtransaction = held.virtualtransaction AND own.locktype = 'transactionid' AND own.pid IS NULL
JOIN pg_prepared_xacts AS p ON p.transaction = own.transactionid
WHERE NOT waiting.granted AND waiting.pid = ANY (%(pids)s::int[]);

-- Question end: end these sessions where each is still the same one; who is gone?
-- Privileges: the same role as those sessions, pg_signal_backend or superuser
-- Servers: 14-18
WITH same AS MATERIALIZED ( -- or the planner would end every session before it compares them
    SELECT a.pid
    FROM pg_stat_activity AS a
    JOIN unnest(%(pids)s::int[], %(began)s::text[]) AS asked (pid, began) ON asked.pid = a.pid
    WHERE to_json(a.backend_start) #>> '{}' = asked.began
)
SELECT pid, pg_terminate_backend(pid, 5000) AS gone FROM same;
