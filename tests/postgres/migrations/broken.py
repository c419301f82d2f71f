"""Changes whose way back is broken, in every way in which one can be, and one that does not apply."""

from tests.postgres.migrations.change import (
    APPLY_FAILS,
    NO_REVERT,
    NOT_RESTORED,
    REVERT_FAILS,
    change,
)

BROKEN = (
    change("seed_stock", "INSERT INTO store.stock VALUES ('pen', 4)", verdict=NO_REVERT),
    change("add_colour", "ALTER TABLE store.stock ADD COLUMN IF NOT EXISTS colour text", verdict=NO_REVERT),
    change("drop_blocked", "DROP TABLE IF EXISTS blocked", verdict=NO_REVERT),
    change(
        "revert_names_another",
        "CREATE TABLE pens (a integer)",
        "DROP TABLE pencils",
        verdict=REVERT_FAILS,
    ),
    change(
        "revert_forgets_a_view",
        ("ALTER TABLE orders ADD COLUMN paid date", "CREATE VIEW paid AS SELECT id, paid FROM orders"),
        "ALTER TABLE orders DROP COLUMN paid",
        verdict=REVERT_FAILS,
    ),
    change(
        "revert_does_not_fit",
        ("ALTER TABLE contacts ADD COLUMN age text", "INSERT INTO contacts (age) VALUES ('old')"),
        "ALTER TABLE contacts ALTER COLUMN age TYPE integer USING age::integer",
        verdict=REVERT_FAILS,
    ),
    change(
        "leaves_a_column",
        "ALTER TABLE store.stock ADD COLUMN IF NOT EXISTS width int, ADD COLUMN IF NOT EXISTS height int",
        "ALTER TABLE store.stock DROP COLUMN width",
        verdict=NOT_RESTORED,
    ),
    change(
        "leaves_an_index",
        (
            "CREATE TABLE IF NOT EXISTS pots (a integer)",
            "CREATE INDEX IF NOT EXISTS stock_item ON store.stock (item)",
        ),
        "DROP TABLE pots",
        verdict=NOT_RESTORED,
    ),
    change(
        "leaves_a_default",
        "ALTER TABLE store.stock ALTER COLUMN n SET DEFAULT 1, ALTER COLUMN n SET NOT NULL",
        "ALTER TABLE store.stock ALTER COLUMN n DROP NOT NULL",
        verdict=NOT_RESTORED,
    ),
    change(
        "leaves_a_comment",
        (
            "COMMENT ON TABLE store.stock IS 'What there is.'",
            "ALTER TABLE store.stock ADD COLUMN IF NOT EXISTS depth int",
        ),
        "ALTER TABLE store.stock DROP COLUMN depth",
        verdict=NOT_RESTORED,
    ),
    change(
        "leaves_a_grant",
        "GRANT SELECT, INSERT ON store.stock TO PUBLIC",
        "REVOKE INSERT ON store.stock FROM PUBLIC",
        verdict=NOT_RESTORED,
    ),
    change(
        "leaves_an_enum_value",
        "ALTER TYPE mood ADD VALUE IF NOT EXISTS 'calm' AFTER 'sad'",
        "UPDATE accounts SET mood = 'happy' WHERE mood::text = 'calm'",
        verdict=NOT_RESTORED,
    ),
    change(
        "does_not_apply",
        ("CREATE TABLE half (a integer)", "ALTER TABLE no_such_table ADD COLUMN a integer"),
        "DROP TABLE half",
        verdict=APPLY_FAILS,
    ),
    change("comes_last", "CREATE TABLE last_one (a integer)", "DROP TABLE last_one"),
)
