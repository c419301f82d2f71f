-- Question tables: which tables, partitions and materialized views are there, how large, and when were they looked after?
-- Privileges: none; takes no lock on any of them
-- Servers: 14-18
SELECT
    format('%%I.%%I', n.nspname, c.relname) AS name,
    c.relkind::text AS kind,
    c.relpages AS pages,
    c.reltuples::float8 AS tuples,
    pg_stat_get_live_tuples(c.oid) AS live,
    pg_stat_get_dead_tuples(c.oid) AS dead,
    pg_stat_get_mod_since_analyze(c.oid) AS modified,
    greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) AS analyzed_at,
    greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed_at,
    coalesce(array_to_string(c.reloptions, ', '), '') AS options,
    (
        SELECT md5(coalesce(string_agg(
            concat_ws(' ', a.attname, a.atttypid, a.atttypmod, a.attnotnull), ',' ORDER BY a.attnum
        ), ''))
        FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm')
  AND c.relpersistence <> 't'
  AND n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'
  AND n.nspname !~ '^_timescaledb_(catalog|config|cache|functions|debug)$'
  AND (%(only)s::text[] IS NULL OR format('%%I.%%I', n.nspname, c.relname) = ANY (%(only)s::text[]))
ORDER BY name;

-- Question indexes: which indexes are there, on what, and are they used?
-- Privileges: none; takes no lock, unlike pg_get_indexdef(), which waits behind a queued ALTER TABLE
-- Servers: 14-18
SELECT
    i.indexrelid::int8 AS oid,
    format('%%I.%%I', n.nspname, t.relname) AS "table",
    quote_ident(c.relname) AS name,
    i.indisunique AS "unique",
    i.indisvalid AND i.indisready AS valid,
    i.indpred IS NOT NULL AS partial,
    i.indpred IS NOT NULL OR i.indexprs IS NOT NULL AS described,
    k.contype::text AS "constraint",
    pg_stat_get_numscans(i.indexrelid) AS scans,
    c.relpages AS pages,
    keys.columns,
    am.amname || ' (' || keys.list || ')'
        || coalesce(' INCLUDE (' || keys.included || ')', '')
        || CASE WHEN to_jsonb(i) ->> 'indnullsnotdistinct' = 'true' THEN ' NULLS NOT DISTINCT' ELSE '' END
        || coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', '') AS shape
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_am am ON am.oid = c.relam
LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x') AND k.conrelid = i.indrelid
CROSS JOIN LATERAL (
    SELECT
        array_agg(coalesce(quote_ident(a.attname), '') ORDER BY key.place)
            FILTER (WHERE key.place <= i.indnkeyatts) AS columns,
        string_agg(
            quote_ident(a.attname)
            || CASE WHEN o.collation_oid NOT IN (0, a.attcollation)
                    THEN ' COLLATE ' || (SELECT quote_ident(collname) FROM pg_collation WHERE oid = o.collation_oid)
                    ELSE '' END
            || CASE WHEN NOT class.opcdefault THEN ' ' || quote_ident(class.opcname) ELSE '' END
            || CASE o.option & 3 WHEN 1 THEN ' DESC NULLS LAST' WHEN 2 THEN ' NULLS FIRST' WHEN 3 THEN ' DESC' ELSE '' END,
            ', ' ORDER BY key.place
        ) FILTER (WHERE key.place <= i.indnkeyatts) AS list,
        string_agg(quote_ident(a.attname), ', ' ORDER BY key.place)
            FILTER (WHERE key.place > i.indnkeyatts) AS included
    FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS key (attnum, place)
    LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = key.attnum AND key.attnum <> 0
    LEFT JOIN unnest(i.indoption::int2[], i.indclass::oid[], i.indcollation::oid[])
        WITH ORDINALITY AS o (option, class_oid, collation_oid, place) ON o.place = key.place
    LEFT JOIN pg_opclass class ON class.oid = o.class_oid
) AS keys
WHERE n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'
  AND t.relpersistence <> 't'
  AND n.nspname !~ '^_timescaledb_(catalog|config|cache|functions|debug)$'
  AND (%(only)s::text[] IS NULL OR format('%%I.%%I', n.nspname, t.relname) = ANY (%(only)s::text[]))
ORDER BY "table", name;

-- Question described: how does the server write these indexes, where nobody holds or awaits the table for itself?
-- Privileges: none; takes AccessShareLock for a moment
-- Servers: 14-18
SELECT i.indexrelid::int8 AS oid, regexp_replace(pg_get_indexdef(i.indexrelid), '^.*? USING ', '') AS shape
FROM pg_index i
WHERE i.indexrelid = ANY (%(oids)s::oid[])
  AND NOT EXISTS (
      SELECT FROM pg_locks l
      WHERE l.relation IN (i.indrelid, i.indexrelid) AND l.mode = 'AccessExclusiveLock'
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  );

-- Question columns: what does the planner believe about the columns of larger tables?
-- Privileges: SELECT on the columns, or pg_read_all_data
-- Servers: 14-18
WITH large AS MATERIALIZED (
    SELECT n.nspname, c.relname, c.relkind
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm')
      AND n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'
      AND (
          c.relpages >= 100 AND %(only)s::text[] IS NULL
          OR format('%%I.%%I', n.nspname, c.relname) = ANY (%(only)s::text[])
      )
    ORDER BY c.relpages DESC
    LIMIT 500
)
SELECT
    format('%%I.%%I', s.schemaname, s.tablename) AS "table",
    quote_ident(s.attname) AS name,
    s.n_distinct::float8 AS "distinct",
    s.null_frac::float8 AS null_share,
    s.correlation::float8 AS correlation
FROM large l JOIN pg_stats s ON s.schemaname = l.nspname AND s.tablename = l.relname
WHERE s.inherited = (l.relkind = 'p')
ORDER BY 1, 2;

-- Question settings: which settings are not at their default?
-- Privileges: pg_read_all_settings to see those that are for superusers only
-- Servers: 14-18
SELECT name, coalesce(current_setting(name, true), setting) AS value
FROM pg_settings
WHERE source NOT IN ('default', 'override', 'session', 'client')
  AND name NOT IN ('application_name', 'client_encoding', 'TimeZone', 'lc_messages')
  AND name !~ '(passw|secret|_key$|conninfo)'
ORDER BY name;

-- Question overrides: which settings hold for single roles or databases?
-- Privileges: none
-- Servers: 14-18
SELECT
    concat_ws(' ', split_part(entry, '=', 1), 'for', coalesce(r.rolname, 'everyone'),
              'in', coalesce(d.datname, 'all databases')) AS name,
    substr(entry, strpos(entry, '=') + 1) AS value
FROM pg_db_role_setting s
CROSS JOIN unnest(s.setconfig) AS entry
LEFT JOIN pg_roles r ON r.oid = s.setrole
LEFT JOIN pg_database d ON d.oid = s.setdatabase
WHERE s.setdatabase = 0 OR d.datname = current_database();

-- Question relations: what are these tables: their columns with types, and what are they partitions of?
-- Privileges: none; takes no lock on any of them
-- Servers: 14-18
SELECT
    format('%%I.%%I', n.nspname, c.relname) AS name,
    n.nspname AS schema,
    c.relname AS relation,
    format('%%I.%%I', rn.nspname, root.relname) AS root,
    root.relkind::text AS root_kind,
    (
        SELECT json_object_agg(a.attname, json_build_array(quote_ident(a.attname), format_type(a.atttypid, a.atttypmod)))
        FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS columns
FROM unnest(%(schemas)s::text[], %(relations)s::text[]) AS wanted (schema, relation)
JOIN pg_namespace n ON n.nspname = wanted.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.relation
JOIN pg_class root ON root.oid = coalesce(
    pg_partition_root(c.oid), (SELECT inhparent FROM pg_inherits WHERE inhrelid = c.oid LIMIT 1), c.oid
)
JOIN pg_namespace rn ON rn.oid = root.relnamespace
WHERE n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema';

-- Question homes: in which schemas are the tables of these names?
-- Privileges: none
-- Servers: 14-18
SELECT c.relname AS relation, array_agg(quote_ident(n.nspname) ORDER BY n.nspname) AS schemas
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = ANY (%(relations)s::text[])
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'
GROUP BY c.relname;

-- Question taken: which tables does somebody hold or await for himself alone?
-- Privileges: none
-- Servers: 14-18
SELECT DISTINCT c.relname AS relation
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.mode = 'AccessExclusiveLock'
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database());
