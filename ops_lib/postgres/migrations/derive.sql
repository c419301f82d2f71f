-- Question objects: what is there, what undoes the making of it, and what does it come and go with?
-- Privileges: none
-- Servers: 14-18
WITH spaces AS (
    SELECT oid, nspname, nspacl, quote_ident(nspname) AS q FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), members AS (
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), relations AS (
    SELECT c.*, s.q || '.' || quote_ident(c.relname) AS q, s.q AS space
    FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
    WHERE NOT EXISTS (SELECT FROM members m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid)
), routines AS (
    SELECT p.*, s.q || '.' || quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS q,
           s.q AS space
    FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace
    WHERE NOT EXISTS (SELECT FROM members m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid)
), grants AS (
    SELECT 'SCHEMA' AS kind, q, q AS part_of, a.* FROM spaces, aclexplode(nspacl) a
    UNION ALL
    SELECT CASE WHEN relkind = 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, q, q, a.* FROM relations, aclexplode(relacl) a
    WHERE a.grantee <> relowner
    UNION ALL
    SELECT 'ROUTINE', q, q, a.* FROM routines, aclexplode(proacl) a WHERE a.grantee <> proowner
)
SELECT 10 AS rank, 'extension ' || extname AS object, 'DROP EXTENSION ' || quote_ident(extname) AS undo,
       extversion AS definition, NULL AS part_of
FROM pg_extension
UNION ALL
SELECT 10, 'schema ' || q, 'DROP SCHEMA ' || q, NULL, NULL FROM spaces
UNION ALL
SELECT 20, 'relation ' || r.q,
       'DROP ' || CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                               WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END || ' ' || r.q,
       CASE WHEN relkind IN ('v', 'm') THEN md5(pg_get_viewdef(r.oid)) ELSE array_to_string(reloptions, ',') END,
       (SELECT 'relation ' || o.q FROM pg_depend d JOIN relations o ON o.oid = d.refobjid
        WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.deptype IN ('a', 'i')
          AND d.refclassid = 'pg_class'::regclass AND r.relkind = 'S' LIMIT 1)
FROM relations r WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
UNION ALL
SELECT 30, 'index ' || r.q, 'DROP INDEX ' || r.q, NULL,
       CASE WHEN k.conname IS NULL THEN 'relation ' || t.q ELSE 'constraint ' || quote_ident(k.conname) || ' ' || t.q END
FROM relations r JOIN pg_index i ON i.indexrelid = r.oid JOIN relations t ON t.oid = i.indrelid
LEFT JOIN pg_constraint k ON k.conindid = r.oid AND k.contype IN ('p', 'u', 'x')
WHERE NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = r.oid)
UNION ALL
SELECT 40, 'column ' || r.q || '.' || quote_ident(attname),
       'ALTER TABLE ' || r.q || ' DROP COLUMN ' || quote_ident(attname),
       format_type(atttypid, atttypmod) || attstorage::text || attidentity::text || attgenerated::text,
       'relation ' || r.q
FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid
WHERE relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped AND attislocal
UNION ALL
SELECT 41, 'default ' || r.q || '.' || quote_ident(attname),
       'ALTER TABLE ' || r.q || ' ALTER COLUMN ' || quote_ident(attname) || ' DROP DEFAULT',
       pg_get_expr(adbin, adrelid), 'column ' || r.q || '.' || quote_ident(attname)
FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid JOIN pg_attrdef ON adrelid = r.oid AND adnum = attnum
UNION ALL
SELECT 42, 'not null ' || r.q || '.' || quote_ident(attname),
       'ALTER TABLE ' || r.q || ' ALTER COLUMN ' || quote_ident(attname) || ' DROP NOT NULL',
       NULL, 'column ' || r.q || '.' || quote_ident(attname)
FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid
WHERE relkind IN ('r', 'p') AND attnum > 0 AND attnotnull AND NOT attisdropped AND attislocal AND attidentity = ''
UNION ALL
SELECT 50, 'constraint ' || quote_ident(conname) || ' ' || r.q,
       'ALTER TABLE ' || r.q || ' DROP CONSTRAINT ' || quote_ident(conname),
       pg_get_constraintdef(k.oid), 'relation ' || r.q
FROM relations r JOIN pg_constraint k ON k.conrelid = r.oid
WHERE contype IN ('c', 'f', 'p', 'u', 'x') AND conislocal AND k.conparentid = 0
UNION ALL
SELECT 60, 'trigger ' || quote_ident(tgname) || ' ' || r.q, 'DROP TRIGGER ' || quote_ident(tgname) || ' ON ' || r.q,
       pg_get_triggerdef(t.oid) || tgenabled::text, 'relation ' || r.q
FROM relations r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT tgisinternal AND tgparentid = 0
UNION ALL
SELECT 60, 'policy ' || quote_ident(polname) || ' ' || r.q, 'DROP POLICY ' || quote_ident(polname) || ' ON ' || r.q,
       concat_ws(' ', polcmd, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)), 'relation ' || r.q
FROM relations r JOIN pg_policy p ON p.polrelid = r.oid
UNION ALL
SELECT 60, 'statistics ' || quote_ident(stxname) || ' ' || r.q,
       'DROP STATISTICS ' || (SELECT q FROM spaces WHERE oid = stxnamespace) || '.' || quote_ident(stxname),
       NULL, 'relation ' || r.q
FROM relations r JOIN pg_statistic_ext x ON x.stxrelid = r.oid
UNION ALL
SELECT 25, 'routine ' || r.q,
       'DROP ' || CASE prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END || ' ' || r.q,
       CASE WHEN prokind = 'a' THEN NULL ELSE md5(pg_get_functiondef(r.oid)) END, NULL
FROM routines r
UNION ALL
SELECT 15, 'type ' || s.q || '.' || quote_ident(typname),
       CASE typtype WHEN 'd' THEN 'DROP DOMAIN ' ELSE 'DROP TYPE ' END || s.q || '.' || quote_ident(typname),
       (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid), NULL
FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace
WHERE typtype IN ('e', 'd', 'r')
  AND NOT EXISTS (SELECT FROM members m WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
UNION ALL
SELECT 70, 'grant ' || kind || ' ' || q || ' ' || privilege_type || ' ' || grantee,
       'REVOKE ' || privilege_type || ' ON ' || kind || ' ' || q || ' FROM '
           || CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
       is_grantable::text,
       CASE kind WHEN 'SCHEMA' THEN 'schema ' WHEN 'ROUTINE' THEN 'routine ' ELSE 'relation ' END || part_of
FROM grants
UNION ALL
SELECT 80, 'comment on ' || CASE WHEN attname IS NULL THEN 'relation ' || r.q
                                 ELSE 'column ' || r.q || '.' || quote_ident(attname) END,
       'COMMENT ON ' || CASE WHEN attname IS NOT NULL THEN 'COLUMN ' || r.q || '.' || quote_ident(attname)
                             ELSE CASE relkind WHEN 'v' THEN 'VIEW ' WHEN 'm' THEN 'MATERIALIZED VIEW '
                                               WHEN 'S' THEN 'SEQUENCE ' WHEN 'i' THEN 'INDEX '
                                               WHEN 'I' THEN 'INDEX ' WHEN 'f' THEN 'FOREIGN TABLE '
                                               WHEN 'c' THEN 'TYPE ' ELSE 'TABLE ' END || r.q END || ' IS NULL',
       description,
       CASE WHEN attname IS NULL THEN CASE WHEN relkind IN ('i', 'I') THEN 'index ' ELSE 'relation ' END || r.q
            ELSE 'column ' || r.q || '.' || quote_ident(attname) END
FROM relations r JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = r.oid
LEFT JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = d.objsubid AND d.objsubid > 0;
