-- Question relations: which relations of users are there, and in which files do their rows lie?
-- Privileges: none
-- Servers: 14-18
SELECT c.oid, n.nspname || '.' || c.relname AS name, c.relkind::text AS kind, c.relfilenode AS file
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname NOT LIKE 'pg\_temp\_%%'
  AND c.relkind IN ('r', 'p', 'm', 'v', 'f', 'S', 'i', 'I');

-- Question locks: which relations has a session locked?
-- Privileges: none
-- Servers: 14-18
SELECT relation, mode FROM pg_locks
WHERE pid = %(pid)s AND locktype = 'relation' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- Question written: up to where has the log been written?
-- Privileges: none
-- Servers: 14-18
SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn;
