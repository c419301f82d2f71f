"""The audit of a history: every file gets its verdict at its own place, whatever the files around it do."""

import random
from pathlib import Path

import pytest

from ops_lib.model.errors import Refused
from ops_lib.model.migration import Layout
from ops_lib.model.rehearsal import Audited
from ops_lib.model.target import Login
from ops_lib.operations.migrations.audit import audit
from tests.conftest import open_session
from tests.figures import SEED, WHOLE
from tests.postgres.migrations.histories import write

LAYOUTS = [*Layout] if WHOLE else [Layout.PLAIN, random.Random(SEED).choice([*Layout][1:])]
"""All of them in `make test-crash`; else the plain one and another by chance."""


def written(folder: Path, files: dict[str, tuple[str, str | None]]) -> Path:
    """A plain history of files, each with its text and that of its revert."""
    folder.mkdir()
    for number, (name, (up, down)) in enumerate(files.items()):
        stem = f"2024010100{number:02d}_{name}"
        (folder / f"{stem}.sql").write_text(up)
        if down is not None:
            (folder / f"{stem}.revert.sql").write_text(down)
    return folder


def verdicts(found: list[Audited]) -> dict[str, str]:
    return {each.file[13:-4]: each.verdict.value for each in found}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gets_the_verdicts_that_it_should(layout: Layout, tmp_path: Path, state_folder: Path) -> None:
    """More than sixty files of every kind, with reverts that are broken in every way."""
    expected = write(layout, tmp_path / "migrations")
    told: list[int] = []
    found = audit(tmp_path / "migrations", home=state_folder, progress=lambda done, total, name: told.append(done))
    assert {each.file: each.verdict.value for each in found} == {each.name: each.verdict for each in expected}
    assert len(expected) >= 60
    assert told == list(range(1, len(expected) + 1))
    silent = [each.file for each in found if not each.detail and each.verdict.value not in {"reversible", "no-revert"}]
    assert silent == []


def test_details_say_where_and_what(tmp_path: Path, state_folder: Path) -> None:
    """The server's message with file and line, or the difference; what comes after a broken file goes on cleanly."""
    history = written(
        tmp_path / "history",
        {
            "one": ("CREATE TABLE a (id integer); INSERT INTO a VALUES (1)", "DROP TABLE a"),
            "left": ("ALTER TABLE a ADD b integer, ADD c integer", "ALTER TABLE a DROP b"),
            "fails": ("CREATE TABLE d (a integer)", "BEGIN;\nDROP TABLE d;\nDROP TABLE e;\nCOMMIT;"),
            "after": ("ALTER TABLE a DROP c; ALTER TABLE d ADD f integer",
                      "ALTER TABLE a ADD c integer; ALTER TABLE d DROP f"),
            "wrong": ("SELECT 1;\nSELECT none", "SELECT 1"),
            "psql": ("\\set x 1\nSELECT 1", "SELECT 1"),
            "copies": ("CREATE TABLE c (a integer);\nCOPY c FROM stdin;\n1\n\\.\n", "DROP TABLE c"),
            "once": (
                "CREATE TABLE t (a int); INSERT INTO a VALUES (7); ALTER TABLE a ADD UNIQUE (id)",
                "ALTER TABLE a DROP CONSTRAINT a_id_key; DROP TABLE t",
            ),
            "path": ("SET search_path = ''; CREATE TABLE public.p (a integer)", "DROP TABLE public.p"),
            "no_path": ("CREATE TABLE q (a integer)", "DROP TABLE q"),
            "rows": ("UPDATE a SET id = id + 10", ""),
        },
    )  # fmt: skip
    found = audit(history, home=state_folder)
    assert verdicts(found) == {
        "one": "reversible", "left": "not-restored", "fails": "revert-fails", "after": "reversible",
        "wrong": "apply-fails", "psql": "apply-fails", "copies": "apply-fails", "once": "not-restored",
        "path": "reversible", "no_path": "reversible", "rows": "reversible",
    }  # fmt: skip
    details = {each.file[13:-4]: each.detail for each in found}
    assert details["left"] == "column public.a.c (integer) was not dropped"
    assert details["fails"].startswith(f'{history}/202401010002_fails.revert.sql, line 3: table "e" does not exist')
    assert f"{history}/202401010004_wrong.sql, line 2: " in details["wrong"]
    assert details["once"].startswith("cannot be applied again: ")


def test_roles_are_made_and_unmade_in_their_place(tmp_path: Path, state_folder: Path) -> None:
    """A role is one for the whole server: the files that make it, use it and forget it get a verdict of their own."""
    history = written(
        tmp_path / "history",
        {
            "one": ("CREATE TABLE a (id integer)", "DROP TABLE a"),
            "role": ("CREATE ROLE reader; GRANT SELECT ON a TO reader", "DROP OWNED BY reader; DROP ROLE reader"),
            "uses": ("CREATE TABLE b (id integer); GRANT SELECT ON b TO reader", "DROP TABLE b"),
            "forgets": ("CREATE ROLE writer; GRANT INSERT ON a TO writer", "REVOKE INSERT ON a FROM writer"),
            "block": ("DO $$ BEGIN CREATE ROLE third; END $$", "DROP ROLE third"),
            "in_use": ("CREATE ROLE fourth; GRANT ALL ON b TO fourth", "DROP ROLE fourth"),
            "database": ("CREATE DATABASE apart", "DROP DATABASE apart"),
            "last": ("GRANT SELECT ON b TO writer, fourth", "REVOKE SELECT ON b FROM writer, fourth"),
        },
    )  # fmt: skip
    assert verdicts(audit(history, home=state_folder)) == {
        "one": "reversible", "role": "reversible", "uses": "reversible", "forgets": "not-restored",
        "block": "reversible", "in_use": "revert-fails", "database": "reversible", "last": "not-restored",
    }  # fmt: skip


def test_the_history_of_the_tool_does_not_count(tmp_path: Path, state_folder: Path) -> None:
    """A file that makes or reads the table of the history finds it, and its revert may leave it."""
    table = "CREATE TABLE IF NOT EXISTS ops.schema_migrations (version text)"
    history = written(
        tmp_path / "history",
        {
            "makes": (f"CREATE SCHEMA IF NOT EXISTS ops; {table}; CREATE TABLE a (b integer)", "DROP TABLE a"),
            "reads": ("CREATE TABLE c AS SELECT count(*) FROM ops.schema_migrations", "DROP TABLE c"),
        },
    )
    assert set(verdicts(audit(history, home=state_folder)).values()) == {"reversible"}


def test_missing_extensions_are_named_before_anything_starts(tmp_path: Path, state_folder: Path) -> None:
    """All of them in one line, with what to do."""
    history = written(
        tmp_path / "history",
        {
            "one": ("CREATE TABLE a (b integer)", None),
            "two": ("CREATE EXTENSION timescaledb; CREATE EXTENSION other_x", None),
        },
    )
    told: list[str] = []
    with pytest.raises(Refused, match="lacks the extensions other_x, timescaledb"):
        audit(history, home=state_folder, progress=lambda done, total, name: told.append(name))
    assert told == []


def test_on_a_server_of_others_only_scratch_databases_are_touched(
    database: Login, tmp_path: Path, state_folder: Path
) -> None:  # fmt: skip
    """Nothing is left of it, and a file that would change the server is refused."""
    files: dict[str, tuple[str, str | None]] = {
        "one": ("CREATE TABLE a (b integer)", "DROP TABLE a"),
        "role": ("CREATE ROLE audited_role", "DROP ROLE audited_role"),
        "stays": ("CREATE ROLE audited_too", "SELECT 1"),
    }
    found = audit(written(tmp_path / "history", files), home=state_folder, scratch_login=database)
    assert verdicts(found) == {"one": "reversible", "role": "reversible", "stays": "not-restored"}
    left = """SELECT datname FROM pg_database WHERE datname ~ 'scratch'
              UNION SELECT rolname FROM pg_roles WHERE rolname ~ '^audited'"""
    with open_session(database) as session:
        assert session.execute(left).fetchall() == []
    assert list(state_folder.iterdir()) == []
    harm: dict[str, tuple[str, str | None]] = {"one": ("ALTER SYSTEM SET work_mem = '1MB'", None)}
    with pytest.raises(Refused, match="changes the whole server"):
        audit(written(tmp_path / "harm", harm), home=state_folder, scratch_login=database)
