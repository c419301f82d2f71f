SET lock_timeout = '2s';
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM information_schema.columns WHERE column_name = 'x') THEN
    ALTER TABLE raw.games ADD COLUMN x int;
  END IF;
END
$$;
