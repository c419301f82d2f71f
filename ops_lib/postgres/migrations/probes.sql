-- Question index: is there an index of this name on this table, and is it complete?
-- Privileges: none
-- Servers: 14-18
SELECT format('%%I.%%I', n.nspname, c.relname) AS name, i.indisvalid AND i.indisready AS valid
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.indrelid = to_regclass(%(table)s) AND c.relname = %(name)s;

-- Question invalid: which indexes of this table are not complete?
-- Privileges: none
-- Servers: 14-18
SELECT format('%%I.%%I', n.nspname, c.relname) AS name
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.indrelid = to_regclass(%(table)s) AND NOT i.indisvalid;

-- Question relation: is there a relation of this name?
-- Privileges: none
-- Servers: 14-18
SELECT to_regclass(%(name)s) IS NOT NULL AS there;

-- Question leftovers: which indexes did a concurrent rebuild leave? Of one index, of one table, of a schema, or of all.
-- Privileges: none
-- Servers: 14-18
SELECT format('%%I.%%I', n.nspname, c.relname) AS name
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid
  AND c.relname ~ '_cc(new|old)[0-9]*$'
  AND n.nspname <> 'pg_toast'
  AND (%(schema)s::text IS NULL OR n.nspname = %(schema)s)
  AND (%(relation)s::text IS NULL
       OR i.indrelid = to_regclass(%(relation)s)
       OR i.indrelid = (SELECT own.indrelid FROM pg_index AS own WHERE own.indexrelid = to_regclass(%(relation)s)));

-- Question partition: is this table still a partition of that one, and is it about to be none?
-- Privileges: none
-- Servers: 14-18
SELECT inhdetachpending AS pending
FROM pg_inherits
WHERE inhparent = to_regclass(%(parent)s) AND inhrelid = to_regclass(%(partition)s);

-- Question database: is there a database of this name?
-- Privileges: none
-- Servers: 14-18
SELECT EXISTS (SELECT FROM pg_database WHERE datname = %(name)s) AS there;

-- Question tablespace: is there a tablespace of this name?
-- Privileges: none
-- Servers: 14-18
SELECT EXISTS (SELECT FROM pg_tablespace WHERE spcname = %(name)s) AS there;

-- Question subscription: is there a subscription of this name in this database?
-- Privileges: none
-- Servers: 14-18
SELECT EXISTS (
    SELECT FROM pg_subscription
    WHERE subname = %(name)s AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
) AS there;
