-- The role that investigations connect as, for a database of your own.
-- Run by an administrator, once in each database:
--     psql -v ON_ERROR_STOP=1 -d DATABASE -f infrastructure/roles.sql
-- It makes one role and takes nothing away from anybody. No password is set here:  \password ops_investigate
-- Server versions: 14 to 18.

BEGIN;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ops_investigate') THEN
        CREATE ROLE ops_investigate LOGIN CONNECTION LIMIT 20;
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO ops_investigate', current_database());
END
$$;

ALTER ROLE ops_investigate SET default_transaction_read_only = on;
ALTER ROLE ops_investigate SET statement_timeout = '60s';
ALTER ROLE ops_investigate SET lock_timeout = '1s';

-- Sessions, statistics and settings of everybody.
GRANT pg_monitor TO ops_investigate;

-- Plans and the statistics of columns show nothing without this; with it the role can read every table. Where that is
-- too much, leave it out: the findings then say that plans were not visible.
GRANT pg_read_all_data TO ops_investigate;

COMMIT;

-- What each statement costs. Counts only where the server has shared_preload_libraries = 'pg_stat_statements'.
SELECT 'CREATE EXTENSION IF NOT EXISTS pg_stat_statements'
 WHERE EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements') \gexec
