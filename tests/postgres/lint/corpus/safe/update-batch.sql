UPDATE raw.odds_history SET closing = false WHERE odds_id BETWEEN 1 AND 10000 AND closing IS NULL;
