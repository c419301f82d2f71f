SET lock_timeout = '2s';
ALTER TABLE staging.loads SET UNLOGGED;
