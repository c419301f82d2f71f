-- Question: cancel what every other session of this application name is doing; how many were there?
-- Privileges: the same role as those sessions, pg_signal_backend or superuser
-- Servers: 14-18
SELECT count(*) FILTER (WHERE pg_cancel_backend(pid)) AS cancelled
FROM pg_stat_activity
WHERE application_name = left(%(application_name)s::text, 63) AND state = 'active' AND pid <> pg_backend_pid();
