SET lock_timeout = '2s';
ALTER TABLE raw.accounts DISABLE ROW LEVEL SECURITY;
