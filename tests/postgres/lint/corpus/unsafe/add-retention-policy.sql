SELECT add_retention_policy('raw.weather_hourly', INTERVAL '1 year');
