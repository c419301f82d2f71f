-- Question: which sessions keep a transaction open and do nothing?
-- Privileges: pg_read_all_stats to see the sessions of others
-- Servers: 14-18
SELECT
    pid,
    coalesce(application_name, '') AS application_name,
    usename AS user_name,
    client_addr::text AS client,
    state,
    extract(epoch FROM clock_timestamp() - state_change)::float8 AS idle_s,
    extract(epoch FROM clock_timestamp() - xact_start)::float8 AS transaction_s,
    age(backend_xmin)::int8 AS horizon_age,
    left(query, 1000) AS query
FROM pg_stat_activity
WHERE backend_type = 'client backend'
  AND state IN ('idle in transaction', 'idle in transaction (aborted)')
  AND (datname = current_database() OR datname IS NULL)
  AND pid <> pg_backend_pid()
ORDER BY state_change;
