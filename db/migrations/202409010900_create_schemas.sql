-- Migration: Schemas of the platform, and the history of what was applied
-- Author: DevOps
-- Date: 2024-09-01

BEGIN;

CREATE SCHEMA IF NOT EXISTS raw;
CREATE SCHEMA IF NOT EXISTS staging;
CREATE SCHEMA IF NOT EXISTS mart;
CREATE SCHEMA IF NOT EXISTS ops;

COMMENT ON SCHEMA raw IS 'As delivered: schedules, odds, weather. Written by ETL only.';
COMMENT ON SCHEMA staging IS 'Cleaned and joined, one row per thing; written by ETL only.';
COMMENT ON SCHEMA mart IS 'What models and dashboards read.';
COMMENT ON SCHEMA ops IS 'What operations keeps in this database: the history of migrations.';

CREATE TABLE IF NOT EXISTS ops.schema_migrations (
    version      text        PRIMARY KEY,
    description  text        NOT NULL,
    sha256       text        NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    applied_at   timestamptz NOT NULL DEFAULT now(),
    applied_by   text        NOT NULL DEFAULT session_user,
    seconds      numeric(10, 3) NOT NULL CHECK (seconds >= 0)
);
COMMENT ON TABLE ops.schema_migrations IS 'One row for each file of db/migrations, db/functions and db/views that was applied.';
COMMENT ON COLUMN ops.schema_migrations.version IS 'Number of a migration, or functions/NAME and views/NAME.';
COMMENT ON COLUMN ops.schema_migrations.sha256 IS 'Of the file as it was applied.';

COMMIT;
