ALTER TABLE raw.games ADD COLUMN attendance int;
