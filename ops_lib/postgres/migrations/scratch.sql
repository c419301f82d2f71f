-- Question present: is anybody connected to a database?
-- Privileges: none
-- Servers: 14-18
SELECT count(*) FROM pg_stat_activity WHERE datname = %(name)s;

-- Question lacks: which of these extensions can this server not create?
-- Privileges: none
-- Servers: 14-18
SELECT needed FROM unnest(%(names)s::text[]) AS needed
WHERE needed NOT IN (SELECT name FROM pg_available_extensions)
ORDER BY 1;

-- Question left_databases: which databases were made for rehearsals, by the role that asks?
-- Privileges: none
-- Servers: 14-18
SELECT datname FROM pg_database
WHERE datname LIKE 'runbook\_scratch\_%%' AND datdba = (SELECT oid FROM pg_roles WHERE rolname = current_user);

-- Question left_roles: which roles were made for a copy, and for which rehearsal?
-- Privileges: none
-- Servers: 14-18
SELECT r.rolname, substr(d.description, 17) FROM pg_roles r
JOIN pg_shdescription d ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass
WHERE d.description LIKE 'runbook scratch %%';

-- Question alive: which rehearsals go on?
-- Privileges: none; the sessions of one's own role are enough
-- Servers: 14-18
SELECT DISTINCT split_part(application_name, '/', 3) FROM pg_stat_activity
WHERE application_name LIKE 'runbook/scratch/%%';

-- Question role_names: which roles has this server?
-- Privileges: none
-- Servers: 14-18
SELECT rolname FROM pg_roles ORDER BY 1;

-- Question foreign_databases: which databases did migrations make on a server that is ours?
-- Privileges: none
-- Servers: 14-18
SELECT datname FROM pg_database
WHERE datname NOT IN ('postgres', 'template0', 'template1') AND datname NOT LIKE 'runbook\_scratch\_%%';

-- Question has_rows: has any table of users a row, or had one?
-- Privileges: none
-- Servers: 14-18
SELECT coalesce(bool_or(pg_relation_size(c.oid) > 0), false)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema';
