-- Question: which database answers, as whom, and what may this session see?
-- Privileges: none
-- Servers: 14-18
SELECT
    current_database() AS database,
    current_setting('server_version_num')::int AS server_version,
    current_user::text AS user_name,
    pg_is_in_recovery() AS in_recovery,
    current_setting('default_transaction_read_only')::bool OR pg_is_in_recovery() AS read_only,
    has_function_privilege('pg_control_system()', 'EXECUTE') AS may_read_control,
    pg_has_role('pg_read_all_stats', 'USAGE') AS can_monitor,
    pg_has_role('pg_read_all_data', 'USAGE') AS can_read_all,
    (SELECT coalesce(json_object_agg(extname, extversion ORDER BY extname), '{}') FROM pg_extension) AS extensions;
