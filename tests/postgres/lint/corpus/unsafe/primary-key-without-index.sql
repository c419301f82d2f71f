SET lock_timeout = '2s';
ALTER TABLE raw.players ADD PRIMARY KEY (player_id);
