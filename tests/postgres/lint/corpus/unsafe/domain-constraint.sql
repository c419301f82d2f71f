ALTER DOMAIN raw.odds_value ADD CONSTRAINT positive CHECK (VALUE > 0);
