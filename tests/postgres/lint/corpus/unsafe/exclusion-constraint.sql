SET lock_timeout = '2s';
ALTER TABLE raw.bookings ADD CONSTRAINT no_overlap EXCLUDE USING gist (room WITH =, during WITH &&);
