DELETE FROM raw.odds_history;
