BEGIN;
SET LOCAL lock_timeout = '1s';
ALTER TABLE raw.games ADD COLUMN neutral boolean NOT NULL DEFAULT false, ADD seen_at timestamptz DEFAULT now();
COMMIT;
