SELECT compress_chunk(c, if_not_compressed => true) FROM show_chunks('raw.weather_hourly') c;
