-- Question: which cluster is this?
-- Privileges: EXECUTE on pg_control_system()
-- Servers: 14-18
SELECT system_identifier::text AS identifier FROM pg_control_system();
