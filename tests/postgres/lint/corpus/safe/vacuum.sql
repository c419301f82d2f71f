VACUUM (ANALYZE) raw.odds_history;
