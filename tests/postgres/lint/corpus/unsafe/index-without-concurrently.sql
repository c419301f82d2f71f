CREATE INDEX idx_odds_book ON raw.odds_history (book);
