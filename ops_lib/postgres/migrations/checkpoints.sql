-- Question there: is there a table for the parts of migrations, and a schema for it?
-- Privileges: none
-- Servers: 14-18
SELECT
    EXISTS (SELECT FROM pg_namespace WHERE nspname = 'ops_runbooks') AS schema_there,
    to_regclass('ops_runbooks.migration_parts') IS NOT NULL AS table_there;

-- Question make_schema: where do the parts of migrations live?
-- Privileges: CREATE on the database
-- Servers: 14-18
CREATE SCHEMA ops_runbooks;

-- Question make_table: which parts of a migration that is not finished has this database had?
-- Privileges: CREATE on the schema ops_runbooks
-- Servers: 14-18
CREATE TABLE IF NOT EXISTS ops_runbooks.migration_parts (
    version text NOT NULL,
    direction text NOT NULL CHECK (direction IN ('apply', 'revert')),
    sha256 text NOT NULL,
    part int NOT NULL,
    state text NOT NULL CHECK (state IN ('began', 'done')),
    run_id text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (version, direction, part)
);

-- Question read: which parts has this database had?
-- Privileges: SELECT on ops_runbooks.migration_parts
-- Servers: 14-18
SELECT version, direction, sha256, part, state, run_id FROM ops_runbooks.migration_parts;

-- Question note: a part has begun, or is done.
-- Privileges: SELECT, INSERT and UPDATE on ops_runbooks.migration_parts
-- Servers: 14-18
INSERT INTO ops_runbooks.migration_parts AS kept (version, direction, sha256, part, state, run_id)
VALUES (%(version)s, %(direction)s, %(sha256)s, %(part)s, %(state)s, %(run_id)s)
ON CONFLICT (version, direction, part) DO UPDATE
SET state = excluded.state, run_id = excluded.run_id, at = clock_timestamp()
WHERE kept.state = 'began' AND kept.sha256 = excluded.sha256
RETURNING part;

-- Question forget: the parts from this one on have not been had.
-- Privileges: SELECT and DELETE on ops_runbooks.migration_parts
-- Servers: 14-18
DELETE FROM ops_runbooks.migration_parts
WHERE version = %(version)s AND direction = %(direction)s AND part >= %(part)s;
