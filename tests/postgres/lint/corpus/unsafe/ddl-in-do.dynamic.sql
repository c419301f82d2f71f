SET lock_timeout = '2s';
DO LANGUAGE plpgsql $body$
DECLARE t text;
BEGIN
  FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'raw' LOOP
    EXECUTE format('ALTER TABLE raw.%I ADD COLUMN loaded_at timestamptz', t);
  END LOOP;
END $body$;
