UPDATE raw.odds_history SET closing = false
WHERE ctid IN (SELECT ctid FROM raw.odds_history WHERE closing IS NULL LIMIT 5000 FOR UPDATE SKIP LOCKED);
