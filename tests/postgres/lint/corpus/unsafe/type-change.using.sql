SET lock_timeout = '2s';
ALTER TABLE raw.odds_history ALTER COLUMN book SET DATA TYPE text USING upper(book);
