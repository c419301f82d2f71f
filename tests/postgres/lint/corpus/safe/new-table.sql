BEGIN;
CREATE TABLE raw.venues (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, game_id text REFERENCES raw.games, name varchar(20));
CREATE INDEX ON raw.venues (game_id);
ALTER TABLE raw.venues ADD CONSTRAINT n CHECK (name <> ''), ALTER name SET NOT NULL, ADD COLUMN token uuid DEFAULT gen_random_uuid();
ALTER TABLE raw.venues ADD CONSTRAINT f FOREIGN KEY (game_id) REFERENCES raw.games;
UPDATE raw.venues SET name = 'x';
CREATE TRIGGER t BEFORE UPDATE ON raw.venues FOR EACH ROW EXECUTE FUNCTION raw.stamp();
COMMIT;
