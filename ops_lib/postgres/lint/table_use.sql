-- Question size: how large are these tables, what is written and read, and who holds them now?
--   Sizes are the estimates of the catalog, partitions included: asking for the real ones would wait behind a lock.
-- Privileges: pg_read_all_stats to see the applications of others
-- Servers: 14-18
WITH RECURSIVE wanted AS (
    SELECT c.oid, n.nspname || '.' || c.relname AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname || '.' || c.relname = ANY (%(names)s) AND c.relkind IN ('r', 'p', 'm', 'f')
), parts AS (
    SELECT oid, oid AS part FROM wanted
    UNION
    SELECT p.oid, i.inhrelid FROM parts p JOIN pg_inherits i ON i.inhparent = p.part
), since AS (
    SELECT extract(epoch FROM now() - greatest(
        d.stats_reset,
        least((SELECT stats_reset FROM pg_stat_bgwriter), (SELECT stats_reset FROM pg_stat_archiver))
    )) / 60 AS minutes
    FROM pg_stat_database d WHERE d.datname = current_database()
), size AS (
    SELECT
        p.oid,
        sum((c.relpages + coalesce(t.relpages, 0))::bigint * current_setting('block_size')::bigint)::bigint AS size_bytes,
        sum(CASE WHEN c.relkind = 'p' THEN 0 ELSE greatest(c.reltuples, s.n_live_tup, 0) END)::bigint AS rows,
        sum(s.n_tup_ins + s.n_tup_upd + s.n_tup_del) AS written,
        sum(coalesce(s.seq_scan, 0) + coalesce(s.idx_scan, 0)) FILTER (WHERE s.relid IS NOT NULL) AS scanned
    FROM parts p
    JOIN pg_class c ON c.oid = p.part
    LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
    LEFT JOIN pg_stat_all_tables s ON s.relid = p.part
    GROUP BY p.oid
), holders AS (
    SELECT p.oid, array_agg(DISTINCT a.application_name ORDER BY a.application_name) AS applications
    FROM parts p
    JOIN pg_locks l ON l.relation = p.part AND l.locktype = 'relation'
    JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND l.pid <> pg_backend_pid() AND a.application_name <> ''
    GROUP BY p.oid
)
SELECT
    w.name,
    z.size_bytes,
    z.rows,
    (z.written / nullif(since.minutes, 0))::bigint AS writes,
    (z.scanned / nullif(since.minutes, 0))::bigint AS reads,
    coalesce(h.applications, '{}') AS applications,
    (SELECT coalesce(jsonb_object_agg(a.attname, format_type(a.atttypid, a.atttypmod)), '{}')
     FROM pg_attribute a WHERE a.attrelid = w.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
FROM wanted w
JOIN size z ON z.oid = w.oid
LEFT JOIN holders h ON h.oid = w.oid
CROSS JOIN since;

-- Question checks: what has been proven about the rows of these tables?
--   The server opens a table to write its constraints out; one that is locked out is therefore left out.
-- Privileges: none
-- Servers: 14-18
WITH locked AS MATERIALIZED (
    SELECT relation FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL
)
SELECT n.nspname || '.' || c.relname AS name, array_agg(pg_get_constraintdef(k.oid)) AS checks
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_constraint k ON k.conrelid = c.oid
WHERE n.nspname || '.' || c.relname = ANY (%(names)s) AND k.contype IN ('c', 'n') AND k.convalidated
  AND c.oid NOT IN (SELECT relation FROM locked)
GROUP BY 1
