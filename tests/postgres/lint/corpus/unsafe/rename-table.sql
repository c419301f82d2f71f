SET lock_timeout = '2s';
ALTER TABLE raw.games RENAME TO matches;
