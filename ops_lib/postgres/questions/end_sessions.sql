-- Question: end every other session of this application name, or of one below it, and wait until it is gone; how many?
-- Privileges: the same role as those sessions, pg_signal_backend or superuser
-- Servers: 14-18
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 2000)) AS ended
FROM pg_stat_activity
WHERE (application_name = left(%(application_name)s::text, 63)
       OR starts_with(application_name, %(application_name)s::text || '/'))
  AND pid <> pg_backend_pid();
