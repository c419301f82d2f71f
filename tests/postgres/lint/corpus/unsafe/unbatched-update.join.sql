WITH g AS (SELECT game_id, season FROM raw.games)
UPDATE raw.odds_history o SET season = g.season FROM g WHERE g.game_id = o.game_id;
