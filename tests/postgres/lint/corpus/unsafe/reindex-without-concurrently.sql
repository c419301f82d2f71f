REINDEX TABLE raw.odds_history;
