DO $$
BEGIN
  DELETE FROM ONLY "raw"."odds_history";
END $$;
