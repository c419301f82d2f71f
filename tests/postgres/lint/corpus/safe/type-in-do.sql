DO $$
BEGIN
  CREATE TYPE raw.roof AS ENUM ('open', 'dome');
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
