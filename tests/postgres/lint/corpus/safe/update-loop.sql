-- transaction: no
DO $$
DECLARE last bigint := 0;
BEGIN
  LOOP
    UPDATE raw.odds_history SET closing = false WHERE odds_id > last AND odds_id <= last + 1000;
    EXIT WHEN NOT FOUND;
    last := last + 1000;
    COMMIT;
  END LOOP;
END $$;
