-- Question tables: which tables hold rows that a dump saves, how large are they, and by what are they ordered?
-- Privileges: none
-- Servers: 14-18
SELECT
    format('%%I.%%I', n.nspname, c.relname) AS name,
    n.nspname::text AS schema,
    c.relname::text AS relation,
    pg_table_size(c.oid) AS bytes,
    coalesce((
        SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM pg_index i
        CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (number, place)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
        WHERE i.indrelid = c.oid AND i.indisprimary
    ), '{}') AS key
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
    AND c.relpersistence <> 't'
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND n.nspname NOT LIKE 'pg\_%%'
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                    AND d.deptype = 'e')
ORDER BY bytes, name;

-- Question sequences: where does each sequence stand?
-- Privileges: USAGE or SELECT on them; of others the value is null
-- Servers: 14-18
SELECT format('%%I.%%I', schemaname, sequencename) AS name, last_value AS value
FROM pg_sequences
WHERE schemaname NOT LIKE 'pg\_%%'
ORDER BY name;

-- Question origin: how is a database like this one made, how large is it, and what roles are there?
-- Privileges: CONNECT on the database
-- Servers: 14-14
SELECT
    pg_encoding_to_char(encoding)::text AS encoding, 'c' AS provider, datcollate::text AS collate,
    datctype::text AS ctype, NULL::text AS locale,
    now() AS at, pg_database_size(oid) AS bytes, pg_get_userbyid(10)::text AS superuser,
    ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname NOT LIKE 'pg\_%%' ORDER BY rolname) AS roles
FROM pg_database WHERE datname = current_database();

-- Question origin: how is a database like this one made, how large is it, and what roles are there?
-- Privileges: CONNECT on the database
-- Servers: 15-16
SELECT
    pg_encoding_to_char(encoding)::text AS encoding, datlocprovider::text AS provider, datcollate::text AS collate,
    datctype::text AS ctype, daticulocale AS locale,
    now() AS at, pg_database_size(oid) AS bytes, pg_get_userbyid(10)::text AS superuser,
    ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname NOT LIKE 'pg\_%%' ORDER BY rolname) AS roles
FROM pg_database WHERE datname = current_database();

-- Question origin: how is a database like this one made, how large is it, and what roles are there?
-- Privileges: CONNECT on the database
-- Servers: 17-18
SELECT
    pg_encoding_to_char(encoding)::text AS encoding, datlocprovider::text AS provider, datcollate::text AS collate,
    datctype::text AS ctype, datlocale AS locale,
    now() AS at, pg_database_size(oid) AS bytes, pg_get_userbyid(10)::text AS superuser,
    ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname NOT LIKE 'pg\_%%' ORDER BY rolname) AS roles
FROM pg_database WHERE datname = current_database();

-- Question settings: what is set otherwise than PostgreSQL comes with it?
-- Privileges: pg_read_all_settings to see them all
-- Servers: 14-18
SELECT name, setting, unit, source, sourcefile
FROM pg_settings
WHERE source NOT IN ('default', 'override', 'client', 'session') AND name <> 'primary_conninfo'
ORDER BY name;

-- Question volume: how large is the whole cluster, and does it have tablespaces of its own?
-- Privileges: pg_read_all_stats, or CONNECT on every database
-- Servers: 14-18
SELECT
    (SELECT sum(pg_database_size(oid))::bigint FROM pg_database) AS bytes,
    ARRAY(SELECT spcname::text FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')) AS tablespaces,
    current_setting('summarize_wal', true) = 'on' AS summarized,
    (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user) AS may_replicate,
    now() AS at;
