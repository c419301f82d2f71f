CREATE TABLE raw.gusts (at timestamptz NOT NULL, mph int);
SELECT create_hypertable('raw.gusts', 'at', migrate_data => true);
