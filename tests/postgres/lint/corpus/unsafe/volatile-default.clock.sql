SET lock_timeout = '2s';
ALTER TABLE raw.players ADD seen_at timestamptz DEFAULT clock_timestamp();
