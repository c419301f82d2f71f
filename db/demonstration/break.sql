-- The evening on which feature extraction became slow: two changes, each sensible, each left half done.

BEGIN;

-- ETL had asked for two columns. Whoever added them dropped the index, so that the backfill of the new columns would
-- be faster, and did not create it again.
DROP INDEX raw.idx_odds_history_game_id_captured_at;
ALTER TABLE raw.odds_history ADD COLUMN consensus_line numeric(5, 2);
ALTER TABLE raw.odds_history ADD COLUMN line_movement_count integer NOT NULL DEFAULT 0;

-- The player figures of 2025 came late, all at once. The loader switches autovacuum off for its table while it works;
-- it did not switch it on again, nor did it ANALYZE. The statistics know of no season 2025.
ALTER TABLE staging.player_game_stats SET (autovacuum_enabled = off);
INSERT INTO staging.player_game_stats (game_id, player_id, season, week, team, snaps, yards, epa)
SELECT s.game_id, p.player_id, s.season, s.week, s.team,
       5 + (h & 63), greatest(-9, 25 + ((h >> 8) & 63) - 32), (((h >> 16) & 255) - 128) / 500.0
FROM staging.team_stats AS s
JOIN raw.players AS p USING (team)
CROSS JOIN LATERAL hashtextextended(s.game_id, p.player_id) AS h
WHERE s.season = 2025
ORDER BY s.kickoff, s.game_id, p.player_id;

INSERT INTO ops.demonstration (stage) VALUES ('broken');

COMMIT;
