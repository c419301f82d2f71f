SELECT create_hypertable('raw.weather_hourly', 'observed_at', migrate_data => true);
