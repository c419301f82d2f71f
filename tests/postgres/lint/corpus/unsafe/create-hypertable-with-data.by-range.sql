SELECT public.create_hypertable('raw.weather_hourly', by_range('observed_at', INTERVAL '1 day'), migrate_data := TRUE);
