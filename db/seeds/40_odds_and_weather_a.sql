-- Seasons 1999 to 2012 of the two large tables; the files of one number are loaded at the same time.

BEGIN;
SET LOCAL session_replication_role = replica;
SET LOCAL synchronous_commit = off;
SET LOCAL work_mem = '128MB';
CALL seed.load_weather(1999, 2012);
CALL seed.load_odds(1999, 2012);
COMMIT;
