-- Question: is the lock of changing runs ours now, and as which backend did the server answer?
-- Privileges: none
-- Servers: 14-18
SELECT pg_try_advisory_lock(%(key)s) AS taken, pg_backend_pid() AS pid;
