SET lock_timeout = '2s';
ALTER TABLE raw.odds DETACH PARTITION raw.odds_2019;
