-- Question bodies: what do the functions of these names do?
-- Privileges: none
-- Servers: 14-18
SELECT
    n.nspname AS schema,
    p.proname AS name,
    l.lanname AS language,
    p.proargnames AS argument_names,
    ARRAY(SELECT format_type(t, NULL) FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) AS t) AS argument_types,
    CASE WHEN l.lanname = 'sql' THEN coalesce(nullif(p.prosrc, ''), pg_get_function_sqlbody(p.oid)) END AS body,
    CASE WHEN l.lanname = 'plpgsql' THEN pg_get_functiondef(p.oid) END AS definition
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_language l ON l.oid = p.prolang
WHERE p.proname = ANY (%(names)s::text[])
  AND l.lanname IN ('sql', 'plpgsql')
  AND p.prokind IN ('f', 'p')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
LIMIT 20;
