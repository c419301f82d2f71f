-- Migration: Where TimescaleDB is installed, raw.weather_hourly becomes a hypertable; elsewhere nothing changes
-- Author: DevOps
-- Date: 2025-02-01

BEGIN;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        PERFORM create_hypertable('raw.weather_hourly', 'observed_at', chunk_time_interval => interval '1 year',
                                  if_not_exists => true, migrate_data => true);
    END IF;
END
$$;

COMMIT;
