CALL convert_to_rowstore('_timescaledb_internal._hyper_1_1_chunk');
