-- Question: which session holds the lock of changing runs in this database, and since when?
-- Privileges: none; pg_read_all_stats to see since when another role's session is there
-- Servers: 14-18
SELECT a.application_name, a.pid, a.usename AS user_name, to_json(a.backend_start AT TIME ZONE 'UTC') #>> '{}' AS since
FROM pg_locks AS l
JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory'
  AND l.granted
  AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = %(key)s
LIMIT 1;
