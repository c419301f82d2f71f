-- transaction: no
DROP INDEX CONCURRENTLY IF EXISTS raw.idx_odds_book;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_odds_book ON raw.odds_history (book);
