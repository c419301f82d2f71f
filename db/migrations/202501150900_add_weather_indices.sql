-- Migration: Gusts and visibility; weather by hour over all stadiums
-- Author: DevOps
-- Date: 2025-01-15

BEGIN;

ALTER TABLE raw.weather_hourly ADD COLUMN IF NOT EXISTS wind_gust_mph numeric(4, 1) CHECK (wind_gust_mph >= wind_mph);
ALTER TABLE raw.weather_hourly ADD COLUMN IF NOT EXISTS visibility_mi numeric(4, 1) CHECK (visibility_mi >= 0);
ALTER TABLE staging.weather_game_window ADD COLUMN IF NOT EXISTS wind_gust_mph numeric(4, 1);
COMMENT ON COLUMN raw.weather_hourly.wind_gust_mph IS 'Strongest gust of the hour; null where the station does not report it.';
COMMENT ON COLUMN raw.weather_hourly.visibility_mi IS 'At most 10.';
COMMENT ON COLUMN staging.weather_game_window.wind_gust_mph IS 'Strongest gust of the window.';

-- One index page for each hundred of the table: the hours of a day lie together.
CREATE INDEX IF NOT EXISTS idx_weather_hourly_observed_at ON raw.weather_hourly USING brin (observed_at);

COMMIT;
