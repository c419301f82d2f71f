SET lock_timeout = '2s';
ALTER TABLE raw.players ADD CONSTRAINT players_email_key UNIQUE (email);
