SET lock_timeout = '2s';
CREATE RULE protect AS ON DELETE TO raw.games DO INSTEAD NOTHING;
