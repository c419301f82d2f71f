-- Question build: how far has this session come with building indexes?
-- Privileges: pg_read_all_stats to see the sessions of others
-- Servers: 14-18
SELECT
    coalesce(p.index_relid::regclass::text, '') AS index,
    p.phase,
    CASE
        WHEN p.blocks_total > 0 THEN 100.0 * p.blocks_done / p.blocks_total
        WHEN p.tuples_total > 0 THEN 100.0 * p.tuples_done / p.tuples_total
    END::float8 AS percent,
    p.lockers_total AS lockers,
    p.lockers_done,
    nullif(p.current_locker_pid, 0)::int AS locker
FROM pg_stat_progress_create_index AS p
WHERE p.pid = %(pid)s;
