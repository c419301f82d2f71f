-- Question: cancel what every other session of this application name, or of one below it, is doing; how many?
-- Privileges: the same role as those sessions, pg_signal_backend or superuser
-- Servers: 14-18
SELECT count(*) FILTER (WHERE pg_cancel_backend(pid)) AS cancelled
FROM pg_stat_activity
WHERE (application_name = left(%(application_name)s::text, 63)
       OR starts_with(application_name, %(application_name)s::text || '/'))
  AND state = 'active' AND pid <> pg_backend_pid();
