-- Question extensions: which extensions does a database use?
-- Privileges: none
-- Servers: 14-18
SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1;

-- Question roles: which roles may own or use something, with what they may do?
-- Privileges: none
-- Servers: 14-18
SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolinherit, rolbypassrls
FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1;

-- Question members: who is a member of which role?
-- Privileges: none
-- Servers: 14-18
SELECT pg_get_userbyid(roleid) AS role, pg_get_userbyid(member) AS member FROM pg_auth_members
WHERE pg_get_userbyid(member) !~ '^pg_';

-- Question database: who owns a database, and who was granted what on it?
-- Privileges: none
-- Servers: 14-18
SELECT pg_get_userbyid(datdba) AS owner,
       ARRAY(SELECT CASE grantee WHEN 0 THEN '' ELSE pg_get_userbyid(grantee) END || '=' || privilege_type
             FROM aclexplode(datacl) WHERE grantee <> datdba) AS grants
FROM pg_database WHERE datname = current_database();

-- Question settings: what do all sessions of a database begin with, whoever connects?
-- Privileges: none
-- Servers: 14-18
SELECT quote_ident(split_part(setting, '=', 1)) AS name, substr(setting, strpos(setting, '=') + 1) AS value
FROM pg_db_role_setting, unnest(setconfig) AS setting
WHERE setrole = 0 AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database());
