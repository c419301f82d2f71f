-- The query of the backtest, since a given season.
SELECT greatest(2003, min(season)) FROM raw.seasons;

SELECT * FROM mart.game_summary WHERE season >= $1;
