-- Question: set for this session those of the named settings that this server knows.
-- Privileges: none
-- Servers: 14-18
SELECT set_config(wanted.name, wanted.value, false)
FROM unnest(%(names)s::text[], %(values)s::text[]) AS wanted (name, value)
WHERE EXISTS (SELECT FROM pg_catalog.pg_settings s WHERE s.name = wanted.name);
