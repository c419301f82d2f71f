CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_odds_book ON raw.odds_history (book);
