"""Schemas: what counts as the same, how a difference reads, and a copy of what a database has."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ops_lib.model.errors import OpsError, Refused
from ops_lib.model.target import Login
from ops_lib.postgres.migrations import copies
from ops_lib.postgres.migrations.copies import copy_schema, restore
from ops_lib.postgres.migrations.schema import Schema, difference, dump
from ops_lib.postgres.migrations.scratch import Scratch, scratch
from tests.conftest import open_session
from tests.postgres.conftest import execute

GAMES = """
    CREATE SCHEMA raw;
    CREATE TYPE raw.roof AS ENUM ('open', 'closed');
    CREATE TABLE raw.games (
        id serial PRIMARY KEY, wind numeric(5,2) DEFAULT CASE WHEN 1 = 1 THEN 2 ELSE 3 END,
        "We ird,)" text DEFAULT E'x\n),(' NOT NULL, CHECK (wind > 0));
    CREATE INDEX games_wind ON raw.games (wind);
    COMMENT ON COLUMN raw.games.wind IS 'km/h';
    CREATE VIEW raw.calm AS SELECT FROM raw.games WHERE wind < 1;
    CREATE FUNCTION raw.one() RETURNS integer LANGUAGE sql AS 'SELECT 1';
    GRANT SELECT ON raw.games TO PUBLIC;
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Scratch]:
    """A scratch server of our own."""
    home = Path(tempfile.mkdtemp(prefix="ops-"))
    home.chmod(0o711)
    with scratch(None, home) as opened:
        yield opened
    shutil.rmtree(home)


def changes(login: Login, *statements: str) -> list[str]:
    """What statements change, in words."""
    before = dump(login)
    execute(login, *statements)
    return [change.plainly() for change in difference(before, dump(login))]


def test_parts_have_names(database: Login) -> None:
    """Every object is a part of its own, and so is each column, however it is written."""
    execute(database, GAMES)
    parts = dump(database).parts
    assert parts["column raw.games.wind"].startswith("numeric(5,2) DEFAULT")
    assert parts["column raw.games.We ird,)"] == "text DEFAULT 'x\n),('::text NOT NULL"
    assert {
        "table raw.games",
        "constraint games_wind_check on raw.games",
        "index raw.games_wind",
        "view raw.calm",
        "comment on column raw.games.wind",
        "privileges on table raw.games",
        "function raw.one()",
        "default of raw.games.id",
        "sequence raw.games_id_seq",
        "constraint games_pkey on raw.games",
    } <= parts.keys()


def test_what_does_not_count_gives_no_difference(database: Login) -> None:
    """Another order of columns, a sequence that moved on and the order of grants are the same schema."""
    execute(database, GAMES, "GRANT UPDATE ON raw.games TO pg_monitor")
    before = dump(database)
    execute(
        database,
        "DROP VIEW raw.calm",
        "ALTER TABLE raw.games DROP COLUMN wind",
        "ALTER TABLE raw.games ADD COLUMN wind numeric(5,2) DEFAULT CASE WHEN 1 = 1 THEN 2 ELSE 3 END CHECK (wind > 0)",
        "CREATE INDEX games_wind ON raw.games (wind)",
        "COMMENT ON COLUMN raw.games.wind IS 'km/h'",
        "CREATE VIEW raw.calm AS SELECT FROM raw.games WHERE wind < 1",
        "REVOKE ALL ON raw.games FROM PUBLIC, pg_monitor",
        "GRANT UPDATE ON raw.games TO pg_monitor",
        "GRANT SELECT ON raw.games TO PUBLIC",
        "SELECT nextval('raw.games_id_seq')",
    )
    after = dump(database)
    assert difference(before, after) == []
    assert before.digest == after.digest


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER TABLE raw.games ADD COLUMN rain integer", "column raw.games.rain (integer) is new"),
        ("DROP INDEX raw.games_wind", "index raw.games_wind is gone"),
        ("ALTER TABLE raw.games ALTER id TYPE bigint", "column raw.games.id differs: integer NOT NULL / bigint"),
        ("ALTER TABLE raw.games OWNER TO pg_monitor", "table raw.games differs: "),
        ("GRANT INSERT ON raw.games TO pg_monitor", "privileges on table raw.games has GRANT INSERT"),
        ("COMMENT ON COLUMN raw.games.wind IS NULL", "comment on column raw.games.wind is gone"),
        ("ALTER TYPE raw.roof ADD VALUE 'half'", "type raw.roof "),
        ("ALTER TABLE raw.games ENABLE ROW LEVEL SECURITY", "row security raw.games is new"),
        ("ALTER TABLE raw.games ALTER id DROP DEFAULT", "default of raw.games.id is gone"),
        ("ALTER FUNCTION raw.one() STABLE", "function raw.one() differs: "),
        ("DROP TABLE raw.games CASCADE", "sequence raw.games_id_seq is gone"),
    ],
)  # fmt: skip
def test_a_difference_is_told_in_a_sentence(database: Login, statement: str, said: str) -> None:
    """Each kind of change is found and named, and the digest is another one."""
    execute(database, GAMES)
    before = dump(database).digest
    told = changes(database, statement)
    assert any(sentence.startswith(said.strip()) for sentence in told), told
    assert dump(database).digest != before


def test_of_a_whole_only_itself_is_told(database: Login) -> None:
    """A new table does not bring a sentence for each of its columns, nor a new schema one for each table."""
    assert changes(database, "CREATE TABLE t (a integer PRIMARY KEY, b text); CREATE INDEX ON t (b)") == [
        "table public.t is new"
    ]
    assert changes(database, GAMES) == ["schema raw is new"]
    assert "table raw.games is gone" in changes(database, "DROP TABLE raw.games CASCADE")


def test_the_history_is_left_out(database: Login) -> None:
    """The table of the history, all that hangs on it, and the schema that was made for it do not count."""
    before = dump(database, leave_out=("ops.schema_migrations",))
    execute(
        database,
        "CREATE SCHEMA ops; CREATE TABLE ops.schema_migrations (id serial PRIMARY KEY, version text)",
        "CREATE INDEX ON ops.schema_migrations (version); COMMENT ON TABLE ops.schema_migrations IS 'x'",
    )
    assert difference(before, dump(database, leave_out=("ops.schema_migrations",))) == []
    assert difference(before, dump(database)) != []


def test_what_a_program_says_is_the_error(database: Login) -> None:
    """A database that is not there is told in the server's words, on one line."""
    nowhere = replace(database, keywords={**database.keywords, "dbname": "nowhere"})
    with pytest.raises(OpsError, match=r'pg_dump failed: .*database "nowhere" does not exist$'):
        dump(nowhere)


def test_a_copy_has_the_schema_and_no_rows(database: Login, place: Scratch) -> None:
    """Owners, grants and roles come along; the roles cannot log in, and go with the scratch databases."""
    with open_session(database) as session:
        session.execute(
            "CREATE ROLE copy_owner LOGIN CREATEROLE; CREATE ROLE copy_group; GRANT copy_group TO copy_owner"
        )
    try:
        execute(database, GAMES, "ALTER TABLE raw.games OWNER TO copy_owner", "INSERT INTO raw.games DEFAULT VALUES",
                "ALTER DATABASE {} SET search_path = raw, public".format(database.keywords["dbname"]))  # fmt: skip
        copy = copy_schema(database, place)
        assert dump(copy).digest == dump(database).digest
        with open_session(copy) as session:
            assert session.execute("SELECT count(*) FROM raw.games").fetchone() == (0,)
            assert session.execute("SHOW search_path").fetchone() == ("raw, public",)
            role = "SELECT rolcanlogin, pg_has_role('copy_owner', 'copy_group', 'MEMBER') FROM pg_roles"
            assert session.execute(f"{role} WHERE rolname = 'copy_owner'").fetchone() == (False, True)
    finally:
        execute(database, "DROP OWNED BY copy_owner CASCADE; DROP ROLE copy_owner, copy_group")


def test_a_copy_does_not_wait_behind_who_alters_a_table(
    database: Login, place: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives up with a clear line where a table stays locked, and has left no queue."""
    monkeypatch.setattr(copies, "_TRIES", 2)
    execute(database, GAMES)
    with open_session(database) as altering, altering.transaction():
        altering.execute("LOCK TABLE raw.games")
        with pytest.raises(Refused, match="somebody alters it"):
            copy_schema(database, place)


def test_a_dump_is_restored_with_its_rows(database: Login, place: Scratch, tmp_path: Path) -> None:
    """An archive in pg_dump's custom format gives a database to rehearse on; one that is missing is named."""
    execute(database, GAMES, "INSERT INTO raw.games DEFAULT VALUES")
    archive = tmp_path / "games.dump"
    copies.call("pg_dump", database, "--format=custom", f"--file={archive}")
    with open_session(restore(archive, place, source=database)) as session:
        assert session.execute("SELECT count(*) FROM raw.games").fetchone() == (1,)
    with pytest.raises(OpsError, match="does not exist"):
        restore(tmp_path / "other.dump", place)


def test_a_copy_needs_the_extensions(database: Login, place: Scratch) -> None:
    """An extension that the scratch server lacks is named before anything is copied."""
    execute(
        database, "CREATE EXTENSION hstore", "UPDATE pg_extension SET extname = 'timescaledb' WHERE extname = 'hstore'"
    )
    with pytest.raises(Refused, match="lacks the extension timescaledb"):
        copy_schema(database, place)


def test_an_empty_schema_has_a_digest() -> None:
    """Nothing is a schema too."""
    assert Schema(parts={}).digest == Schema(parts={}).digest != Schema(parts={"a": "b"}).digest
