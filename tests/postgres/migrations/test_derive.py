"""Derived reverts: what only adds is undone by what is derived, and nothing else is."""

from pathlib import Path

import pytest

from ops_lib.model.migration import Script
from ops_lib.model.target import Login
from ops_lib.postgres.migrations.derive import Derivation
from ops_lib.postgres.migrations.schema import difference, dump
from ops_lib.postgres.migrations.trace import perform, session, traced
from tests.postgres.conftest import execute

BEFORE = """
    CREATE TABLE games (id integer PRIMARY KEY, home text, wind numeric DEFAULT 1);
    INSERT INTO games VALUES (1, 'a', 2);
    CREATE INDEX games_home ON games (home);
    CREATE VIEW calm AS SELECT id FROM games;
    CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1';
    COMMENT ON TABLE games IS 'Games.';
    CREATE TYPE roof AS ENUM ('open');
"""
ADDS = [
    """CREATE TABLE "Od""d" (id serial PRIMARY KEY, a text UNIQUE); INSERT INTO "Od""d" (a) VALUES (1);
       CREATE INDEX ON "Od""d" (a)""",
    "CREATE INDEX ON games (wind); CREATE UNIQUE INDEX named ON games (id, home)",
    "CREATE INDEX CONCURRENTLY games_wind ON games (wind)",
    """CREATE VIEW v AS SELECT * FROM games; CREATE VIEW w AS SELECT * FROM v;
       CREATE MATERIALIZED VIEW m AS SELECT * FROM w""",
    """CREATE FUNCTION f(a int, b text DEFAULT 'x') RETURNS int LANGUAGE sql AS 'SELECT 1';
       CREATE PROCEDURE p() LANGUAGE sql AS ''""",
    """CREATE OR REPLACE FUNCTION two() RETURNS int LANGUAGE sql AS 'SELECT 2';
       CREATE OR REPLACE VIEW x AS SELECT 1 AS a""",
    """CREATE TYPE mood AS ENUM ('sad'); CREATE TYPE pair AS (a int, b int);
       CREATE DOMAIN word AS text CHECK (VALUE <> '')""",
    """CREATE SCHEMA raw; CREATE TABLE raw.t (a int); CREATE SEQUENCE raw.s;
       CREATE SCHEMA more CREATE TABLE u (a int)""",
    """CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
       CREATE TRIGGER tt BEFORE UPDATE ON games FOR EACH ROW EXECUTE FUNCTION tf()""",
    "CREATE EXTENSION hstore; ALTER TABLE games ADD COLUMN more hstore",
    "ALTER TABLE games ADD COLUMN a int DEFAULT 3, ADD b uuid REFERENCES others (id), ADD CHECK (a > 0)",
    "ALTER TABLE games ADD CONSTRAINT windy CHECK (wind > 0) NOT VALID; ALTER TABLE games ADD UNIQUE (home)",
    "ALTER TABLE games ALTER home SET DEFAULT 'x', ALTER home SET NOT NULL; COMMENT ON COLUMN games.home IS 'x'",
    "ALTER TABLE bare ADD PRIMARY KEY (id)",
    "GRANT SELECT, INSERT ON games TO pg_monitor; GRANT USAGE ON SCHEMA public TO pg_monitor",
    "CREATE POLICY mine ON games USING (true); CREATE STATISTICS both_columns ON id, wind FROM games",
    """CREATE TABLE parts (a int) PARTITION BY RANGE (a);
       CREATE TABLE part PARTITION OF parts FOR VALUES FROM (1) TO (2); CREATE INDEX ON parts (a)""",
    """CREATE TABLE IF NOT EXISTS games (id int);
       ALTER TABLE games ADD COLUMN IF NOT EXISTS home text, ADD COLUMN IF NOT EXISTS z int""",
    "BEGIN; CREATE TABLE t (a int); ALTER TABLE t OWNER TO pg_monitor; ALTER TABLE t DROP COLUMN a; COMMIT",
]
DOES_NOT = [
    ("DROP INDEX games_home", "drops something"),
    ("UPDATE games SET wind = 3", "changes rows"),
    ("DELETE FROM games", "deletes rows"),
    ("INSERT INTO games VALUES (2)", "adds rows"),
    ("ALTER TABLE games ALTER home TYPE varchar", "alters what was there before"),
    ("SELECT 1;\nALTER TABLE games DROP COLUMN home CASCADE", "line 1 calls what may do anything"),
    ("ALTER TYPE roof ADD VALUE 'closed'", "adds a value to a type"),
    ("CREATE OR REPLACE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 2'", "changes routine public.one()"),
    ("CREATE OR REPLACE VIEW calm AS SELECT id, home FROM games", "changes relation public.calm"),
    ("ALTER TABLE games ALTER wind SET DEFAULT 5", "changes default public.games.wind"),
    ("ALTER TABLE games ALTER wind DROP DEFAULT", "takes away default public.games.wind"),
    ("COMMENT ON TABLE games IS 'Other.'", "changes comment on relation public.games"),
    ("DO $$ BEGIN CREATE TABLE t (a int); END $$", "is a block"),
    ("ALTER TABLE games RENAME COLUMN wind TO gust", "gives something another name"),
    ("CREATE TABLE t (a int);\nDROP TABLE calm_days", "line 2 drops something"),
]


def up(text: str) -> Script:
    return Script(file=Path("a.sql"), text=text)


@pytest.fixture
def games(database: Login) -> Login:
    """A database with something in it."""
    execute(database, BEFORE, "CREATE TABLE others (id uuid PRIMARY KEY)", "CREATE TABLE bare (id int)",
            "CREATE TABLE calm_days (a int)")  # fmt: skip
    return database


@pytest.mark.parametrize("text", ADDS)
def test_what_adds_is_undone(games: Login, text: str) -> None:
    """The derived revert leads back to the schema before, and the migration can be applied again."""
    before, derivation = dump(games), Derivation()
    traced(games, up(text), derivation)
    assert difference(before, dump(games)) != []
    assert derivation.reason is None
    back = derivation.script(up(text))
    assert back is not None
    with session(games) as opened:
        perform(opened, back)
        assert difference(before, dump(games)) == []
        perform(opened, up(text))


@pytest.mark.parametrize(("text", "why"), DOES_NOT)
def test_what_takes_or_changes_has_no_derived_revert(games: Login, text: str, why: str) -> None:
    """The line and the reason are said."""
    derivation = Derivation()
    traced(games, up(text), derivation)
    assert derivation.script(up(text)) is None
    assert why in str(derivation.reason)


def test_what_was_there_already_is_not_undone(games: Login) -> None:
    """A migration that adds nothing has a revert that takes nothing away."""
    derivation, text = Derivation(), up("CREATE TABLE IF NOT EXISTS games (a int); SET search_path = 'public'")
    traced(games, text, derivation)
    back = derivation.script(text)
    assert back is not None
    assert back.text == ""


def test_an_index_built_concurrently_is_dropped_concurrently(games: Login) -> None:
    """The way back of what blocks nobody blocks nobody either."""
    derivation, text = Derivation(), up("CREATE INDEX CONCURRENTLY i ON games (wind)")
    traced(games, text, derivation)
    back = derivation.script(text)
    assert back is not None
    assert back.text == "DROP INDEX CONCURRENTLY public.i;\n"
