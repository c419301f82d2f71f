"""Trying an index on a copy."""

from typing import Any

import pytest

from ops_lib.model.target import Login
from ops_lib.postgres import trial
from ops_lib.postgres.facts import TableFacts, table_facts
from ops_lib.postgres.session import Session
from tests.postgres.conftest import NOW, execute

TABLE = (
    "CREATE TABLE t AS SELECT i AS id, i % 1000 AS dev, 'x' || i AS word FROM generate_series(1, 50000) AS i",
    "ANALYZE t",
)


def _facts(session: Session) -> TableFacts:
    return table_facts(session, [("public", "t")])[("public", "t")]


def _trials(session: Session) -> list[Any]:
    return session.rows("SELECT datname FROM pg_database WHERE datname LIKE 'ops\\_trial\\_%'")


def test_an_index_is_tried_on_a_copy(database: Login, session: Session) -> None:
    """Blocks and times before and after are measured, and nothing is left behind, in the target least of all."""
    execute(database, *TABLE)
    tried = trial.attempt(session, database, _facts(session), ["dev"], NOW)
    assert isinstance(tried, dict)
    assert tried["used"]
    assert tried["rows_copied"] == 50_000
    assert tried["blocks_after"] < tried["blocks_before"]
    assert _trials(session) == []
    assert session.rows("SELECT 1 FROM pg_indexes WHERE tablename = 't'") == []


def test_what_cannot_be_copied_is_not_tried(database: Login, session: Session) -> None:
    """A type that the scratch server does not know is a reason, and its database is dropped all the same."""
    execute(database, "CREATE TYPE mood AS ENUM ('sad')", *TABLE, "ALTER TABLE t ADD COLUMN how mood")
    assert trial.attempt(session, database, _facts(session), ["dev"], NOW) == 'not tried: type "mood" does not exist'
    assert _trials(session) == []


def test_a_trial_that_was_killed_is_swept(database: Login, session: Session) -> None:
    """The database of an old trial goes with the next one; a fresh one may be at work and stays."""
    old, fresh = f"ops_trial_{int(NOW.timestamp()) - 3600}_a", f"ops_trial_{int(NOW.timestamp())}_b"
    execute(database, *TABLE, f"CREATE DATABASE {old}", f"CREATE DATABASE {fresh}")
    trial.attempt(session, database, _facts(session), ["dev"], NOW)
    assert _trials(session) == [{"datname": fresh}]
    execute(database, f"DROP DATABASE {fresh}")


@pytest.mark.parametrize("rows", [300_000])
def test_a_copy_is_bounded(database: Login, session: Session, rows: int) -> None:
    """Of a large table a sample is copied, spread over it."""
    execute(database, f"CREATE TABLE t AS SELECT i AS id, i AS dev FROM generate_series(1, {rows}) AS i", "ANALYZE t")
    tried = trial.attempt(session, database, _facts(session), ["dev"], NOW)
    assert isinstance(tried, dict)
    assert 0 < tried["rows_copied"] <= trial.MOST_ROWS


def test_a_copy_that_is_cut_short_leaves_the_session_usable(
    database: Login, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Enough is enough by size and by time too; what is asked next is answered."""
    execute(database, *TABLE)
    monkeypatch.setattr(trial, "MOST_BYTES", 10_000)
    tried = trial.attempt(session, database, _facts(session), ["dev"], NOW)
    assert isinstance(tried, dict), tried
    assert 100 < tried["rows_copied"] < 50_000
    assert session.rows("SELECT 1 AS one") == [{"one": 1}]
