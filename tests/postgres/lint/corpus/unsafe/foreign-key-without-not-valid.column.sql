SET lock_timeout = '2s';
ALTER TABLE orders ADD COLUMN buyer_id bigint DEFAULT 1 REFERENCES people (id);
