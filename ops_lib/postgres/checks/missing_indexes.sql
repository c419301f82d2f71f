-- Question building: on which tables is an index being built at this moment?
-- Privileges: pg_read_all_stats to see the work of others
-- Servers: 14-18
SELECT DISTINCT format('%%I.%%I', n.nspname, c.relname) AS "table"
FROM pg_stat_progress_create_index p
JOIN pg_class c ON c.oid = p.relid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE p.datname = current_database();
