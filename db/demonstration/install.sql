-- What the demonstration has beside the platform: the role that its pipeline works as, and how far the story has come.

BEGIN;

SELECT pg_advisory_xact_lock(hashtext('ops-runbooks roles'));

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'feature_pipeline') THEN
        CREATE ROLE feature_pipeline;
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO feature_pipeline', current_database());
END
$$;

ALTER ROLE feature_pipeline LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 20;
GRANT USAGE ON SCHEMA raw, staging, mart TO feature_pipeline;
GRANT SELECT ON ALL TABLES IN SCHEMA raw, staging, mart TO feature_pipeline;

CREATE TABLE ops.demonstration (
    stage       text        PRIMARY KEY,
    reached_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE ops.demonstration IS 'This database is a demonstration with synthetic figures; how far its story has come.';
INSERT INTO ops.demonstration (stage) VALUES ('installed');

COMMIT;
