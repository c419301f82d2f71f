VACUUM (FULL, ANALYZE) raw.odds_history;
