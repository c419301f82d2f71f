BEGIN;
ALTER TYPE raw.game_type ADD VALUE 'PRE';
INSERT INTO raw.games (game_id, game_type) VALUES ('x', 'PRE');
COMMIT;
