-- Migration: Hourly weather on the field
-- Author: DevOps
-- Date: 2024-09-01

BEGIN;

CREATE TABLE IF NOT EXISTS raw.weather_hourly (
    stadium_id    text          NOT NULL REFERENCES raw.stadiums,
    observed_at   timestamptz   NOT NULL,
    temp_f        numeric(4, 1) NOT NULL,
    wind_mph      numeric(4, 1) NOT NULL CHECK (wind_mph >= 0),
    humidity_pct  smallint      NOT NULL CHECK (humidity_pct BETWEEN 0 AND 100),
    precip_in     numeric(4, 2) NOT NULL CHECK (precip_in >= 0),
    roof_closed   boolean       NOT NULL,
    PRIMARY KEY (stadium_id, observed_at)
);
COMMENT ON TABLE raw.weather_hourly IS 'Synthetic in the demonstration. Conditions on the field, from six days before each game to the day after.';
COMMENT ON COLUMN raw.weather_hourly.wind_mph IS 'Zero under a closed roof.';

COMMIT;
