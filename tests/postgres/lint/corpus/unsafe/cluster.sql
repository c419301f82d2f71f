CLUSTER raw.odds_history USING odds_history_pkey;
