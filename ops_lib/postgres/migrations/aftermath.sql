-- Question tables: which of these names are tables, and what kind of relation is each?
-- Privileges: none
-- Servers: 14-18
SELECT format('%%I.%%I', n.nspname, c.relname) AS name, c.oid::int8 AS oid, c.relkind::text AS kind
FROM unnest(%(names)s::text[]) AS given (name)
JOIN pg_class AS c ON c.oid = to_regclass(given.name)
JOIN pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY 1;

-- Question invalid: which indexes are invalid and which constraints unproven, on these tables?
--   An index that is being built now is none of them.
-- Privileges: none
-- Servers: 14-18
SELECT format('%%I.%%I', n.nspname, i.relname) AS name, 'index' AS kind, x.indrelid::regclass::text AS on_table
FROM pg_index AS x
JOIN pg_class AS i ON i.oid = x.indexrelid
JOIN pg_namespace AS n ON n.oid = i.relnamespace
WHERE NOT x.indisvalid
  AND x.indrelid = ANY (%(oids)s::int8[]::oid[])
  AND i.relkind = 'i'
  AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS p WHERE p.index_relid = x.indexrelid)
UNION ALL
SELECT con.conname::text, 'constraint', con.conrelid::regclass::text
FROM pg_constraint AS con
WHERE NOT con.convalidated AND con.conrelid = ANY (%(oids)s::int8[]::oid[])
ORDER BY 1;

-- Question views: which views depend on these tables, directly or by way of another?
-- Privileges: none
-- Servers: 14-18
WITH RECURSIVE dependent AS (
    SELECT unnest(%(oids)s::int8[]::oid[]) AS oid
    UNION
    SELECT r.ev_class
    FROM dependent AS d
    JOIN pg_depend AS p ON p.refobjid = d.oid AND p.refclassid = 'pg_class'::regclass
    JOIN pg_rewrite AS r ON r.oid = p.objid AND p.classid = 'pg_rewrite'::regclass
    WHERE r.ev_class <> d.oid
)
SELECT format('%%I.%%I', n.nspname, c.relname) AS name, c.relkind::text AS kind,
       c.relkind <> 'm' OR c.relispopulated AS readable
FROM dependent AS d
JOIN pg_class AS c ON c.oid = d.oid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm')
ORDER BY 1;

