UPDATE raw.odds_history SET book = lower(book);
