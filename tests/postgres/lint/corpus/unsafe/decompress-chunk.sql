SELECT decompress_chunk(c) FROM show_chunks('raw.weather_hourly') AS c;
