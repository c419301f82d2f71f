"""Safe files: they lead to the same schema as the unsafe one, and no alarm is raised about them."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from ops_lib.model.lint import SafeFile
from ops_lib.model.migration import Script
from ops_lib.model.target import Login
from ops_lib.postgres.binaries import installed
from ops_lib.postgres.lint.lint import lint
from ops_lib.postgres.migrations.script import parts
from tests.conftest import open_session

BEFORE = """
    CREATE SCHEMA raw;
    CREATE TABLE raw.games (game_id bigint NOT NULL, week int, code text, "Odd name" text);
    CREATE TABLE raw.teams (team text PRIMARY KEY);
    CREATE TABLE raw.odds (odds_id bigint, game_id bigint, team text, at date);
    CREATE INDEX old_idx ON raw.odds (team);
"""
HANDBOOK = """-- Migration: Kickoff
-- Author: DevOps
-- Date: 2025-01-01

BEGIN;

ALTER TABLE raw.games ADD COLUMN kickoff timestamptz;
CREATE INDEX IF NOT EXISTS idx_games_kickoff ON raw.games (kickoff);

COMMIT;
"""
UNSAFE = {
    "handbook": HANDBOOK,
    "index": """CREATE UNIQUE INDEX "An index" ON raw.odds USING btree (lower(team) DESC) INCLUDE (at)
        WHERE at > '2025-01-01';""",
    "check_": "ALTER TABLE raw.games ADD CHECK (week > 0), ADD CONSTRAINT c CHECK (week < game_id);",
    "foreign_key": """ALTER TABLE ONLY raw.odds
        ADD FOREIGN KEY (team) REFERENCES raw.teams ON DELETE CASCADE DEFERRABLE;""",
    "validated": """ALTER TABLE raw.games ADD CONSTRAINT c CHECK (week > 0) NOT VALID;
        ALTER TABLE raw.games VALIDATE CONSTRAINT c;""",
    "not_null": 'ALTER TABLE raw.games ALTER COLUMN "Odd name" SET NOT NULL, ALTER week SET DEFAULT 1;',
    "volatile": """BEGIN;
        ALTER TABLE raw.odds ADD token uuid NOT NULL DEFAULT gen_random_uuid(), ADD n int DEFAULT 0;
        COMMIT;""",
    "of_column": """ALTER TABLE raw.odds ADD COLUMN w int CHECK (w > 0) UNIQUE,
        ADD f text REFERENCES raw.teams (team);""",
    "unique_": """ALTER TABLE raw.games
        ADD CONSTRAINT u UNIQUE NULLS NOT DISTINCT (week, code) DEFERRABLE INITIALLY DEFERRED;""",
    "unnamed_unique": "ALTER TABLE raw.games ADD UNIQUE (week, code) INCLUDE (game_id);",
    "primary_key": "ALTER TABLE raw.odds ADD PRIMARY KEY (odds_id, game_id);",
    "dropped_index": "DROP INDEX raw.old_idx;",
    "two_tables": """BEGIN;
        ALTER TABLE raw.games ADD a int;
        COMMENT ON TABLE raw.games IS 'x';
        ALTER TABLE raw.odds ADD b int;
        COMMIT;""",
    "at_once": "ALTER TABLE raw.games ADD CONSTRAINT c CHECK (week > 0) NOT VALID, VALIDATE CONSTRAINT c, ADD a int;",
    "long_name": f"ALTER TABLE raw.games ADD c int CONSTRAINT {'x' * 64} CHECK (c > 0), ADD d int CHECK (d > 0);",
    "switched_off": "SET lock_timeout = 0; ALTER TABLE raw.games ADD a int; RESET lock_timeout;",
    "waits": "SET search_path = raw;\nALTER TABLE games ADD a int;",
    "mixed": """BEGIN;
        -- first the column
        ALTER TABLE raw.games ADD COLUMN a int; /* then its index */
        CREATE INDEX a_idx ON raw.games (a);
        COMMENT ON INDEX raw.a_idx IS 'needs the index; at once';
        INSERT INTO raw.games (game_id) VALUES (1);
        COMMIT;""",
}


def script(name: str, text: str) -> Script:
    alone = re.search(r"^-- transaction: no$", text, re.MULTILINE) is not None
    return Script(file=Path(name), text=text, transaction=not alone)


def unsafe(name: str) -> Script:
    return script(f"202501010900_{name}.sql", UNSAFE[name])


def safe_files(name: str) -> tuple[SafeFile, ...]:
    (found,) = lint([unsafe(name)])
    assert found.alarms
    return found.safe


def dumped(login: Login, scripts: Mapping[str, Sequence[Script]]) -> list[str]:
    """The lines of the dump, sorted since the order of columns does not count, after all scripts have been applied.

    Each name has a schema of its own in the place of raw, which is gone afterwards.
    """
    with open_session(login) as session:
        for name, chosen in scripts.items():
            session.execute(renamed(BEFORE, name).encode())
            for part in (part for each in chosen for part in parts(each)):
                text = renamed(";".join(statement.text for statement in part.statements), name)
                session.execute((text if part.alone else f"BEGIN;{text};COMMIT").encode())
        lines = pg_dump(login).splitlines()
        session.execute(("RESET search_path;" + "".join(f"DROP SCHEMA {name} CASCADE;" for name in scripts)).encode())
    return sorted(line.strip().rstrip(",") for line in lines if line and not line.startswith(("--", "\\")))


def renamed(text: str, schema: str) -> str:
    return re.sub(r"\braw\b", schema, text)


def pg_dump(login: Login) -> str:
    known = {f"PG{key.upper()}": str(login.keywords[key]) for key in ("host", "port", "user")}
    env = {**known, "PGDATABASE": str(login.keywords["dbname"]), "PGPASSWORD": login.password or "", "LC_ALL": "C"}
    command = [str(installed() / "bin/pg_dump"), "--schema-only", "--no-owner"]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout


@pytest.mark.parametrize("name", UNSAFE)
def test_no_alarm_is_raised_about_safe_files(name: str) -> None:
    """Linted in their order, they hold nothing above info."""
    files = safe_files(name)
    assert files
    assert [alarm for found in lint([script(file.name, file.text) for file in files]) for alarm in found.alarms] == []


def test_safe_files_lead_to_the_same_schema(database: Login) -> None:
    """The same dump comes out of the unsafe files and of their safe files, each pair on tables of its own."""
    expected = dumped(database, {name: [unsafe(name)] for name in UNSAFE})
    safe = {name: [script(file.name, file.text) for file in safe_files(name)] for name in UNSAFE}
    assert dumped(database, safe) == expected
    assert 'CREATE UNIQUE INDEX "An index" ON index.odds' in "\n".join(expected)


def test_the_template_of_the_handbook_becomes_two_files() -> None:
    """The column with a lock timeout, and the index in a file of its own in the next minute, under the same header."""
    column, index = safe_files("handbook")
    assert (column.name, index.name) == ("202501010900_handbook.sql", "202501010901_handbook_index.sql")
    header = "-- Migration: Kickoff\n-- Author: DevOps\n-- Date: 2025-01-01\n"
    assert column.text == (
        f"{header}\nSET lock_timeout = '2s';\n\nBEGIN;\n\n"
        "ALTER TABLE raw.games ADD COLUMN kickoff timestamptz;\n\nCOMMIT;\n"
    )
    assert index.text == (
        f"{header}-- transaction: no\n\nCREATE INDEX CONCURRENTLY idx_games_kickoff ON raw.games (kickoff);\n"
    )


def test_what_needs_an_index_stays_behind_it() -> None:
    """The order of a file is kept, and so are its comments, where a later statement names the index."""
    first, index, rest = safe_files("mixed")
    assert "-- first the column\nALTER TABLE" in first.text
    assert "/* then its index */" not in first.text
    assert "a_idx" not in first.text
    assert "CREATE INDEX CONCURRENTLY a_idx" in index.text
    assert rest.text.index("COMMENT ON INDEX") < rest.text.index("INSERT INTO")


def test_a_backfill_is_named_where_rows_have_to_be_filled() -> None:
    """What a volatile default would have filled is left to the backfill helper, before the column is required."""
    texts = [file.text for file in safe_files("volatile")]
    told = next(place for place, text in enumerate(texts) if "backfill helper" in text)
    required = next(place for place, text in enumerate(texts) if "SET NOT NULL" in text)
    assert told < required


def test_names_keep_clear_of_other_files() -> None:
    """A minute that another file has is passed over."""
    other = script("202501010901_other.sql", "SELECT 1;")
    (found, _) = lint([script("202501010900_x.sql", HANDBOOK), other])
    assert [file.name for file in found.safe] == ["202501010900_x.sql", "202501010902_x_index.sql"]


def test_a_setting_keeps_its_place_in_the_transaction() -> None:
    """SET LOCAL stands behind BEGIN, with its comment; a file that sets a lock timeout keeps its own."""
    text = "BEGIN;\n-- patience\nSET LOCAL lock_timeout = '9s';\nALTER TABLE a ADD CHECK (b > 0);\nCOMMIT;"
    added, validated = lint([script("999_x.sql", text)])[0].safe
    assert added.text.startswith(
        "BEGIN;\n\n-- patience\nSET LOCAL lock_timeout = '9s';\n\nALTER TABLE a ADD CONSTRAINT"
    )
    assert (validated.name, validated.text.count("9s")) == ("999_x_2_validate.sql", 1)


def test_what_has_no_safe_form_has_no_safe_files() -> None:
    """A file that would stay as it is is not written again."""
    for text in ("SET lock_timeout = '1s'; DROP TABLE a;", "VACUUM FULL a;", "REFRESH MATERIALIZED VIEW a;"):
        (found,) = lint([script("202501010900_x.sql", text)])
        assert found.alarms
        assert found.safe == ()


def test_a_comment_that_looks_like_the_statement_is_a_comment() -> None:
    """Comments stay with the statement that they stand before."""
    column_text = "-- ALTER TABLE a ADD b int\nALTER TABLE a ADD b int; -- ; é\n"
    text = f"-- Migration: x\n\n{column_text}CREATE INDEX i ON a (b);\n/* end */"
    column, index = lint([script("202501010900_x.sql", text)])[0].safe
    assert column.text == (
        "-- Migration: x\n\nSET lock_timeout = '2s';\n\n-- ALTER TABLE a ADD b int\nALTER TABLE a ADD b int;\n"
    )
    assert "-- ; é\nCREATE INDEX CONCURRENTLY i ON a (b);" in index.text
    assert index.text.endswith("/* end */\n")
