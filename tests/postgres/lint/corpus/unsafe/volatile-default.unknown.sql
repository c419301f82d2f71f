SET lock_timeout = '2s';
ALTER TABLE raw.players ADD COLUMN short text DEFAULT app.make_short_id();
