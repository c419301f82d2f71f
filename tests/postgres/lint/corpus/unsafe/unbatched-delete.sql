DELETE FROM raw.odds_history WHERE captured_at < '2020-01-01';
