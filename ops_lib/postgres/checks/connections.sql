-- Question limits: how many connections may there be, and how many of them are kept for superusers and operators?
-- Privileges: none
-- Servers: 14-18
SELECT
    current_setting('max_connections')::int AS most,
    current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved;

-- Question used: who holds connections, by application and user, and in what state?
-- Privileges: pg_read_all_stats to see the state of others
-- Servers: 14-18
SELECT
    coalesce(nullif(application_name, ''), 'unnamed') AS application,
    usename AS user_name,
    count(*) AS connections,
    count(*) FILTER (WHERE state = 'active') AS active,
    count(*) FILTER (WHERE state = 'idle') AS idle,
    count(*) FILTER (WHERE state LIKE 'idle in transaction%%') AS idle_in_transaction,
    extract(epoch FROM clock_timestamp() - min(state_change) FILTER (WHERE state = 'idle'))::float8 AS longest_idle_s
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
GROUP BY 1, 2
ORDER BY connections DESC;
