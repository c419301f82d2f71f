-- Question there: is there a table for the rows of steps, and may this session use it?
-- Privileges: none
-- Servers: 14-18
SELECT
    EXISTS (SELECT FROM pg_namespace WHERE nspname = 'ops_runbooks') AS schema_there,
    count(*) > 0 AS table_there,
    coalesce(bool_and(
        has_schema_privilege(n.oid, 'USAGE')
        AND has_table_privilege(c.oid, 'SELECT')
        AND has_table_privilege(c.oid, 'INSERT')
        AND has_table_privilege(c.oid, 'UPDATE')
    ), false) AS usable
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'ops_runbooks' AND c.relname = 'steps';

-- Question make_schema: where do the rows of steps live?
-- Privileges: CREATE on the database
-- Servers: 14-18
CREATE SCHEMA ops_runbooks;

-- Question make_table: which steps have had their effect here? A row is written in the transaction of the effect.
-- Privileges: CREATE on the schema ops_runbooks
-- Servers: 14-18
CREATE TABLE ops_runbooks.steps (
    chain text NOT NULL,
    step text NOT NULL,
    run_id text NOT NULL,
    state text NOT NULL CHECK (state IN ('began', 'done')),
    answer jsonb,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (chain, step)
);

-- Question find: what does the row of a step say?
-- Privileges: SELECT on ops_runbooks.steps
-- Servers: 14-18
SELECT run_id, state, answer FROM ops_runbooks.steps WHERE chain = %(chain)s AND step = %(step)s;

-- Question begin: may this step act in this transaction? No row where it has acted before.
-- Privileges: SELECT, INSERT and UPDATE on ops_runbooks.steps
-- Servers: 14-18
INSERT INTO ops_runbooks.steps AS kept (chain, step, run_id, state)
VALUES (%(chain)s, %(step)s, %(run_id)s, 'began')
ON CONFLICT (chain, step) DO UPDATE
SET run_id = excluded.run_id, at = clock_timestamp()
WHERE kept.state = 'began' AND %(redo)s
RETURNING run_id;

-- Question end: the effect of this step is complete.
-- Privileges: SELECT and UPDATE on ops_runbooks.steps
-- Servers: 14-18
UPDATE ops_runbooks.steps
SET state = 'done', answer = %(answer)s::text::jsonb, at = clock_timestamp()
WHERE chain = %(chain)s AND step = %(step)s AND run_id = %(run_id)s AND state = 'began'
RETURNING run_id;
