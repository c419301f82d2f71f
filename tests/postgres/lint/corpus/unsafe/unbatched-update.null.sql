UPDATE raw.odds_history AS o SET closing = false WHERE closing IS NULL;
