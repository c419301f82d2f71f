-- Question: which tables are the largest, with their indexes, by what the catalog says?
-- Privileges: none; takes no lock, unlike pg_total_relation_size(), which waits behind a queued ALTER TABLE
-- Servers: 14-18
SELECT
    format('%%I.%%I', n.nspname, c.relname) AS name,
    c.relpages::int8 * current_setting('block_size')::int8 AS table_bytes,
    coalesce(i.pages, 0)::int8 * current_setting('block_size')::int8 AS index_bytes,
    coalesce(t.relpages, 0)::int8 * current_setting('block_size')::int8 AS toast_bytes,
    greatest(c.reltuples, pg_stat_get_live_tuples(c.oid))::int8 AS rows,
    (SELECT pg_database_size(current_database())) AS database_bytes
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
LEFT JOIN LATERAL (
    SELECT sum(ic.relpages) AS pages
    FROM pg_index x JOIN pg_class ic ON ic.oid = x.indexrelid
    WHERE x.indrelid = c.oid
) AS i ON true
WHERE c.relkind IN ('r', 'm')
  AND n.nspname NOT LIKE 'pg\_%%' AND n.nspname <> 'information_schema'
ORDER BY c.relpages + coalesce(i.pages, 0) + coalesce(t.relpages, 0) DESC
LIMIT 20;
