-- Roles and extensions that a database needs before its first migration.
-- Run by an administrator, once in each database, and again whenever this file changes:
--     psql -d DATABASE -f db/roles.sql
-- Passwords are not set here:  \password ops_investigate   and   \password ops_migrate
-- Server versions: 14 to 18.
--
--   platform_owner   nobody logs in as it; owns raw, staging, mart and ops
--   ops_migrate      changes them, by SET ROLE platform_owner; no superuser, nothing inherited
--   ops_investigate  reads: statistics (pg_monitor) and, since plans and pg_stats show nothing without it, every
--                    table (pg_read_all_data). Where that is too much, revoke it: the findings then say that plans
--                    were not visible. It owns nothing and may write nowhere.

BEGIN;

-- Two installations at the same time would both find a role missing.
SELECT pg_advisory_xact_lock(hashtext('ops-runbooks roles'));

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['platform_owner', 'ops_migrate', 'ops_investigate'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I', name);
        END IF;
    END LOOP;
END
$$;

ALTER ROLE platform_owner NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
ALTER ROLE ops_migrate LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 5;
ALTER ROLE ops_investigate LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 20;
ALTER ROLE ops_investigate SET default_transaction_read_only = on;
ALTER ROLE ops_investigate SET statement_timeout = '60s';
ALTER ROLE ops_investigate SET lock_timeout = '1s';
ALTER ROLE ops_migrate SET lock_timeout = '5s';

GRANT platform_owner TO ops_migrate;
GRANT pg_monitor, pg_read_all_data TO ops_investigate;

CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
CREATE EXTENSION IF NOT EXISTS pgstattuple;
CREATE EXTENSION IF NOT EXISTS amcheck;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- Where the steps of runbooks leave a row in the transaction of their effect; the table is made by the first of them.
CREATE SCHEMA IF NOT EXISTS ops_runbooks AUTHORIZATION ops_migrate;
GRANT USAGE, CREATE ON SCHEMA ops_runbooks TO platform_owner;

DO $$
DECLARE
    checked record;
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO ops_investigate, ops_migrate', current_database());
    EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO platform_owner', current_database());
    -- Only the index check that takes no more than AccessShareLock.
    FOR checked IN SELECT oid::regprocedure AS function FROM pg_proc WHERE proname = 'bt_index_check' LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO ops_investigate', checked.function);
    END LOOP;
END
$$;

COMMIT;
