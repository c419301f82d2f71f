SET lock_timeout = '2s';
ALTER TABLE raw.players ADD CONSTRAINT players_pkey PRIMARY KEY USING INDEX players_id_idx;
