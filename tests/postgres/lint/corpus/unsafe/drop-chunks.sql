SELECT drop_chunks('raw.weather_hourly', older_than => INTERVAL '2 years');
