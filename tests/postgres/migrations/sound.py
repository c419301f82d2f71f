"""Changes of most kinds that teams write, each with a way back that leads back."""

from tests.postgres.migrations.change import change

_ORDERS = """CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account integer NOT NULL REFERENCES accounts,
    amount numeric(10, 2) NOT NULL CHECK (amount > 0),
    state text NOT NULL DEFAULT 'new; unpaid'
)"""

_BASICS = (
    change(
        "create_accounts",
        "CREATE TABLE accounts (\n    id int PRIMARY KEY, -- a key; no more\n    name text NOT NULL,\n    score int\n)",
        "DROP TABLE accounts",
        verify="SELECT 1 / count(*) FROM pg_class WHERE relname = 'accounts'",
    ),
    change(
        "create_orders",
        (
            _ORDERS,
            "CREATE INDEX orders_account ON orders (account)",
        ),
        "DROP TABLE orders",
    ),
    change("seed_accounts", "INSERT INTO accounts VALUES (1, 'Ada', 3), (2, 'Bob', 4)", "DELETE FROM accounts"),
    change(
        "seed_more_accounts",
        "INSERT INTO accounts SELECT n, 'account ' || n, n % 7 FROM generate_series(10, 400) n",
        "DELETE FROM accounts WHERE id >= 10",
    ),
    change(
        "double_scores",
        "UPDATE accounts SET score = score * 2 WHERE score IS NOT NULL",
        "UPDATE accounts SET score = score / 2 WHERE score IS NOT NULL",
    ),
    change(
        "add_created_at",
        "ALTER TABLE accounts ADD COLUMN created_at timestamptz NOT NULL DEFAULT now()",
        "ALTER TABLE accounts DROP COLUMN created_at",
    ),
    change("index_names", "CREATE INDEX accounts_name ON accounts (name)", "DROP INDEX accounts_name"),
    change(
        "index_states_partly",
        "CREATE INDEX orders_unpaid ON orders (id) WHERE state = 'new; unpaid'",
        "DROP INDEX orders_unpaid",
    ),
    change(
        "rename_score",
        "ALTER TABLE accounts RENAME COLUMN score TO points",
        "ALTER TABLE accounts RENAME COLUMN points TO score",
    ),
    change(
        "widen_points",
        "ALTER TABLE accounts ALTER COLUMN points TYPE bigint",
        "ALTER TABLE accounts ALTER COLUMN points TYPE integer",
    ),
    change(
        "demand_points",
        (
            "UPDATE accounts SET points = 0 WHERE points IS NULL",
            "ALTER TABLE accounts ALTER COLUMN points SET DEFAULT 0, ALTER COLUMN points SET NOT NULL",
        ),
        "ALTER TABLE accounts ALTER COLUMN points DROP NOT NULL, ALTER COLUMN points DROP DEFAULT",
    ),
    change(
        "check_points",
        (
            "ALTER TABLE accounts ADD CONSTRAINT points_positive CHECK (points >= 0) NOT VALID",
            "ALTER TABLE accounts VALIDATE CONSTRAINT points_positive",
        ),
        "ALTER TABLE accounts DROP CONSTRAINT points_positive",
    ),
    change(
        "unique_names",
        "ALTER TABLE accounts ADD CONSTRAINT accounts_name_key UNIQUE (name)",
        "ALTER TABLE accounts DROP CONSTRAINT accounts_name_key",
    ),
    change(
        "comment_accounts",
        ("COMMENT ON TABLE accounts IS 'Who buys; it''s short.'", "COMMENT ON COLUMN accounts.name IS 'As written.'"),
        ("COMMENT ON COLUMN accounts.name IS NULL", "COMMENT ON TABLE accounts IS NULL"),
    ),
    change("grant_accounts", "GRANT SELECT ON accounts TO PUBLIC", "REVOKE SELECT ON accounts FROM PUBLIC"),
    change("fill_less", "ALTER TABLE accounts SET (fillfactor = 70)", "ALTER TABLE accounts RESET (fillfactor)"),
    change(
        "generate_shout",
        "ALTER TABLE accounts ADD COLUMN shout text GENERATED ALWAYS AS (upper(name)) STORED",
        "ALTER TABLE accounts DROP COLUMN shout",
    ),
    change(
        "forget_shout",
        "ALTER TABLE accounts DROP COLUMN shout",
        "ALTER TABLE accounts ADD COLUMN shout text GENERATED ALWAYS AS (upper(name)) STORED",
    ),
)

_TYPES = (
    change("create_mood", "CREATE TYPE mood AS ENUM ('sad', 'happy')", "DROP TYPE mood"),
    change(
        "add_mood",
        "ALTER TABLE accounts ADD COLUMN mood mood NOT NULL DEFAULT 'happy'",
        "ALTER TABLE accounts DROP COLUMN mood",
    ),
    change("create_email", "CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%')", "DROP DOMAIN email"),
    change("create_address", "CREATE TYPE address AS (street text, town text)", "DROP TYPE address"),
    change("create_span", "CREATE TYPE span AS RANGE (subtype = numeric)", "DROP TYPE span"),
    change(
        "create_contacts",
        "CREATE TABLE contacts (account integer REFERENCES accounts, email email, address address)",
        "DROP TABLE contacts",
    ),
    change("create_ticket", "CREATE SEQUENCE ticket START 100 INCREMENT 5", "DROP SEQUENCE ticket"),
    change(
        "number_contacts",
        "ALTER TABLE contacts ADD COLUMN ticket bigint NOT NULL DEFAULT nextval('ticket')",
        "ALTER TABLE contacts DROP COLUMN ticket",
    ),
)

_ROUTINES = (
    change(
        "create_touch",
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n"
        "    -- a comment; with a semicolon\n    NEW.created_at = now();\n    RETURN NEW;\nEND;\n$$",
        "DROP FUNCTION touch()",
    ),
    change(
        "touch_accounts",
        "CREATE TRIGGER touch BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION touch()",
        "DROP TRIGGER touch ON accounts",
    ),
    change(
        "create_quoted",
        "CREATE FUNCTION quoted(a text) RETURNS text LANGUAGE sql IMMUTABLE AS $body$\n"
        "    SELECT $$'$$ || a || $$';$$;\n$body$",
        "DROP FUNCTION quoted(text)",
    ),
    change(
        "replace_quoted",
        "CREATE OR REPLACE FUNCTION quoted(a text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '<' || a || '>' $$",
        "CREATE OR REPLACE FUNCTION quoted(a text) RETURNS text LANGUAGE sql IMMUTABLE AS $body$\n"
        "    SELECT $$'$$ || a || $$';$$;\n$body$",
    ),
    change(
        "create_atomic",
        "CREATE FUNCTION twice(a integer) RETURNS integer LANGUAGE sql IMMUTABLE RETURN a * 2",
        "DROP FUNCTION twice(integer)",
    ),
    change(
        "create_procedure",
        "CREATE PROCEDURE clean() LANGUAGE sql BEGIN ATOMIC DELETE FROM orders WHERE amount < 0; SELECT 1; END",
        "DROP PROCEDURE clean()",
    ),
    change(
        "create_aggregate",
        "CREATE AGGREGATE total(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0')",
        "DROP AGGREGATE total(integer)",
    ),
    change(
        "in_a_block",
        "DO $$\nBEGIN\n    IF to_regclass('blocked') IS NULL THEN\n        CREATE TABLE blocked (a integer);\n"
        "    END IF;\nEND\n$$",
        "DROP TABLE blocked",
    ),
)

_VIEWS = (
    change("create_rich", "CREATE VIEW rich AS SELECT id, name FROM accounts WHERE points > 5", "DROP VIEW rich"),
    change("create_rich_names", "CREATE VIEW rich_names AS SELECT name FROM rich", "DROP VIEW rich_names"),
    change(
        "replace_rich",
        "CREATE OR REPLACE VIEW rich AS SELECT id, name, points FROM accounts WHERE points > 6",
        (
            "DROP VIEW rich_names",
            "DROP VIEW rich",
            "CREATE VIEW rich AS SELECT id, name FROM accounts WHERE points > 5",
            "CREATE VIEW rich_names AS SELECT name FROM rich",
        ),
    ),
    change(
        "create_totals",
        (
            "CREATE MATERIALIZED VIEW totals AS SELECT account, sum(amount) AS amount FROM orders GROUP BY account",
            "CREATE UNIQUE INDEX totals_account ON totals (account)",
        ),
        "DROP MATERIALIZED VIEW totals",
    ),
)

_PARTITIONS = (
    change(
        "create_events",
        "CREATE TABLE events (at date NOT NULL, what text) PARTITION BY RANGE (at)",
        "DROP TABLE events",
    ),
    change(
        "events_2024",
        "CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
        "DROP TABLE events_2024",
    ),
    change(
        "attach_events_2025",
        (
            "CREATE TABLE events_2025 (at date NOT NULL CHECK (at >= '2025-01-01' AND at < '2026-01-01'), what text)",
            "ALTER TABLE events ATTACH PARTITION events_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
        ),
        ("ALTER TABLE events DETACH PARTITION events_2025", "DROP TABLE events_2025"),
    ),
    change("index_events", "CREATE INDEX events_at ON events (at)", "DROP INDEX events_at"),
    change(
        "inherit",
        "CREATE TABLE old_accounts (closed date) INHERITS (accounts)",
        "DROP TABLE old_accounts",
    ),
)

_EXTENSIONS = (
    change("use_pg_trgm", "CREATE EXTENSION pg_trgm", "DROP EXTENSION pg_trgm"),
    change(
        "index_trigrams",
        "CREATE INDEX accounts_trigrams ON accounts USING gin (name gin_trgm_ops)",
        "DROP INDEX accounts_trigrams",
    ),
    change("use_hstore", "CREATE EXTENSION hstore", "DROP EXTENSION hstore"),
    change(
        "add_tags",
        "ALTER TABLE accounts ADD COLUMN tags hstore NOT NULL DEFAULT ''",
        "ALTER TABLE accounts DROP COLUMN tags",
    ),
    change("use_btree_gist", "CREATE EXTENSION btree_gist", "DROP EXTENSION btree_gist"),
    change(
        "create_bookings",
        "CREATE TABLE bookings (room integer, during tsrange, EXCLUDE USING gist (room WITH =, during WITH &&))",
        "DROP TABLE bookings",
    ),
)

_ALONE = (
    change(
        "index_amounts",
        "CREATE INDEX CONCURRENTLY orders_amount ON orders (amount)",
        "DROP INDEX CONCURRENTLY orders_amount",
        transaction=False,
    ),
    change(
        "index_notes",
        (
            "ALTER TABLE orders ADD COLUMN note text",
            "CREATE INDEX CONCURRENTLY orders_note ON orders (note)",
            "COMMENT ON COLUMN orders.note IS 'Free text.'",
        ),
        ("DROP INDEX CONCURRENTLY orders_note", "ALTER TABLE orders DROP COLUMN note"),
        transaction=False,
    ),
    change(
        "drop_name_index",
        "DROP INDEX CONCURRENTLY accounts_name",
        "CREATE INDEX CONCURRENTLY accounts_name ON accounts (name)",
        transaction=False,
    ),
)

_SCHEMAS = (
    change("create_store", "CREATE SCHEMA store", "DROP SCHEMA store"),
    change("create_stock", "CREATE TABLE store.stock (item text, n integer)", "DROP TABLE store.stock"),
    change(
        "move_ticket",
        "ALTER SEQUENCE ticket SET SCHEMA store",
        "ALTER SEQUENCE store.ticket SET SCHEMA public",
    ),
    change(
        "guard_stock",
        (
            "ALTER TABLE store.stock ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY everyone ON store.stock FOR SELECT USING (n > 0)",
        ),
        ("DROP POLICY everyone ON store.stock", "ALTER TABLE store.stock DISABLE ROW LEVEL SECURITY"),
    ),
    change(
        "create_statistics",
        "CREATE STATISTICS store.stock_both ON item, n FROM store.stock",
        "DROP STATISTICS store.stock_both",
    ),
)


SOUND = (*_BASICS, *_TYPES, *_ROUTINES, *_VIEWS, *_PARTITIONS, *_EXTENSIONS, *_ALONE, *_SCHEMAS)
