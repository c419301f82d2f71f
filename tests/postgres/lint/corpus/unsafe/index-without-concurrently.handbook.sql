-- Migration: Gusts
-- Author: DevOps
-- Date: 2025-01-15

BEGIN;

ALTER TABLE raw.weather_hourly ADD COLUMN wind_gust_mph numeric;

CREATE INDEX idx_weather_gust ON raw.weather_hourly (wind_gust_mph);

COMMIT;
