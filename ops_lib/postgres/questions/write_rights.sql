-- Question: has this login, or any role that it may become, a right to write anything that matters in this database?
-- Privileges: none; takes no lock on any table
-- Servers: 14-18
WITH roles AS MATERIALIZED (
    SELECT oid, rolsuper OR rolcreaterole OR rolreplication AS commanding, rolname
    FROM pg_roles
    WHERE pg_has_role(session_user, oid, 'MEMBER')
), commanding AS MATERIALIZED (
    SELECT bool_or(
        commanding
        OR rolname IN ('pg_write_all_data', 'pg_write_server_files', 'pg_execute_server_program', 'pg_maintain')
    ) AS yes
    FROM roles
)
SELECT CASE WHEN yes THEN true ELSE
    EXISTS (SELECT FROM roles r WHERE has_database_privilege(r.oid, current_database(), 'CREATE'))
    OR EXISTS (
        SELECT FROM roles r, pg_namespace n
        WHERE n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'
          AND has_schema_privilege(r.oid, n.oid, 'CREATE')
    )
    OR EXISTS (
        SELECT FROM roles r, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm')
          AND n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'
          AND (
              has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
              OR EXISTS (
                  SELECT FROM pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL
                    AND has_column_privilege(r.oid, c.oid, a.attnum, 'INSERT, UPDATE')
              )
          )
    )
END AS may_write
FROM commanding;
