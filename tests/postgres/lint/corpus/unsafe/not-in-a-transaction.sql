BEGIN;
CREATE INDEX CONCURRENTLY idx_odds_book ON raw.odds_history (book);
COMMIT;
