-- Question spills: how much has this database written to temporary files, and since when does it count?
-- Privileges: none
-- Servers: 14-18
SELECT temp_files, temp_bytes, stats_reset
FROM pg_stat_database
WHERE datname = current_database();
