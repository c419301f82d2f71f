SET lock_timeout = '2s';
CREATE TRIGGER stamp BEFORE UPDATE ON raw.games FOR EACH ROW EXECUTE FUNCTION raw.stamp();
