vacuum full verbose raw.odds_history;
