-- Question there: is there a table for the rows of backfills, and a schema for it?
-- Privileges: none
-- Servers: 14-18
SELECT
    EXISTS (SELECT FROM pg_namespace WHERE nspname = 'ops_runbooks') AS schema_there,
    to_regclass('ops_runbooks.backfills') IS NOT NULL AS table_there;

-- Question make_schema: where do the rows of backfills live?
-- Privileges: CREATE on the database
-- Servers: 14-18
CREATE SCHEMA ops_runbooks;

-- Question make_table: how far has each backfill come? A row moves on in the transaction of each batch.
-- Privileges: CREATE on the schema ops_runbooks
-- Servers: 14-18
CREATE TABLE IF NOT EXISTS ops_runbooks.backfills (
    name text PRIMARY KEY,
    statement text NOT NULL,
    key text[] NOT NULL,
    last text[],
    until text[],
    passed bigint NOT NULL DEFAULT 0,
    changed bigint NOT NULL DEFAULT 0,
    batches bigint NOT NULL DEFAULT 0,
    done boolean NOT NULL DEFAULT false,
    run_id text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Question begin: begin this backfill, where it has not begun before.
-- Privileges: SELECT and INSERT on ops_runbooks.backfills
-- Servers: 14-18
INSERT INTO ops_runbooks.backfills (name, statement, key, until, run_id, done)
VALUES (%(name)s, %(statement)s, %(key)s, %(until)s, %(run_id)s, %(until)s::text[] IS NULL)
ON CONFLICT (name) DO NOTHING;

-- Question place: how far has this backfill come? Nobody else moves it until the end of the transaction.
-- Privileges: SELECT and UPDATE on ops_runbooks.backfills
-- Servers: 14-18
SELECT last, until, passed, changed, batches, done FROM ops_runbooks.backfills WHERE name = %(name)s FOR UPDATE;

-- Question move: this backfill has come so far.
-- Privileges: UPDATE on ops_runbooks.backfills
-- Servers: 14-18
UPDATE ops_runbooks.backfills
SET last = coalesce(%(last)s, last),
    passed = passed + %(passed)s,
    changed = changed + %(changed)s,
    batches = batches + 1,
    done = %(done)s,
    run_id = %(run_id)s,
    at = clock_timestamp()
WHERE name = %(name)s;

-- Question forget: this backfill is done, and nobody asks for it any more.
-- Privileges: DELETE on ops_runbooks.backfills
-- Servers: 14-18
DELETE FROM ops_runbooks.backfills WHERE name = %(name)s AND done;

-- Question key: which columns are the primary key of this table, or are these unique and never null?
-- Privileges: none
-- Servers: 14-18
SELECT
    k.columns,
    k.types,
    i.indisprimary AS primary
FROM pg_index AS i
CROSS JOIN LATERAL (
    SELECT
        array_agg(a.attname::text ORDER BY n) AS columns,
        array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY n) AS types,
        bool_and(a.attnotnull) AS never_null
    FROM generate_series(0, i.indnkeyatts - 1) AS n
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n]
) AS k
WHERE i.indrelid = to_regclass(%(table)s)
  AND i.indisunique
  AND i.indisvalid
  AND i.indpred IS NULL
  AND i.indexprs IS NULL
  AND k.never_null
ORDER BY i.indisprimary DESC, cardinality(k.columns);

-- Question size: about how many rows has this table, with its partitions? Less than nothing where nobody knows.
-- Privileges: none
-- Servers: 14-18
SELECT coalesce(sum(c.reltuples), -1)::bigint AS rows
FROM pg_class AS c
WHERE c.oid IN (SELECT relid FROM pg_partition_tree(to_regclass(%(table)s)) WHERE isleaf)
   OR c.oid = to_regclass(%(table)s) AND c.relkind = 'r';
