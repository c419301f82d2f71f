-- Question replicas: how far is each replica behind?
-- Privileges: pg_read_all_stats to see more than that there is one
-- Servers: 14-18
SELECT
    coalesce(nullif(application_name, ''), 'a replica') AS name,
    max(coalesce(extract(epoch FROM replay_lag), 0))::float8 AS seconds,
    max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))::bigint AS bytes
FROM pg_stat_replication
WHERE state IS NULL OR state IN ('streaming', 'catchup')
GROUP BY 1;

-- Question data_directory: where does the server keep its data?
-- Privileges: pg_read_all_settings; no row without it
-- Servers: 14-18
SELECT setting FROM pg_settings WHERE name = 'data_directory';
