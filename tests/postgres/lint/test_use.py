"""Use: what a live target says about its tables."""

from collections.abc import Callable

import psycopg

from ops_lib.model.target import Login
from ops_lib.postgres.lint.use import table_use
from tests.conftest import open_session

SETUP = """
    CREATE SCHEMA raw;
    CREATE TABLE raw.games (id int NOT NULL, name varchar(20) CHECK (name <> ''), note text);
    INSERT INTO raw.games SELECT n, 'x', 'y' FROM generate_series(1, 5000) AS n;
    CREATE TABLE raw.empty (id int);
    CREATE TABLE raw.parts (id int) PARTITION BY LIST (id);
    CREATE TABLE raw.part_1 PARTITION OF raw.parts FOR VALUES IN (1);
    INSERT INTO raw.parts SELECT 1 FROM generate_series(1, 3000);
    ALTER TABLE raw.games ADD CONSTRAINT later CHECK (id > 0) NOT VALID;
"""
NAMES = ["raw.games", "raw.empty", "raw.parts", "raw.nowhere", "bare"]
Person = psycopg.Connection[tuple[object, ...]]


def test_size_rows_types_and_checks(database: Login) -> None:
    """As the catalog knows them, partitions with their parent; only what is validated counts as a check."""
    with open_session(database) as session:
        session.execute(SETUP.encode())
        session.execute("CREATE TABLE bare ()")
        session.execute("VACUUM ANALYZE")
        found = table_use(session, NAMES)
    assert sorted(found) == ["public.bare", "raw.empty", "raw.games", "raw.parts"]
    games = found["raw.games"]
    assert (games.rows, found["raw.parts"].rows) == (5000, 3000)
    assert games.size_bytes > 0
    assert games.columns == {"id": "integer", "name": "character varying(20)", "note": "text"}
    assert any("name" in check and "<>" in check for check in games.checks)
    assert not any("id > 0" in check for check in games.checks)
    assert found["raw.empty"].empty
    assert not found["raw.parts"].empty


def test_a_table_that_is_locked_out_is_described_at_once(database: Login, person: Callable[[str], Person]) -> None:
    """No lock is waited for, and who holds it is named."""
    with open_session(database) as session:
        session.execute(SETUP.encode())
        session.execute("SET lock_timeout = '100ms'")
        holder = person("loader")
        holder.execute("LOCK TABLE raw.games, raw.part_1 IN ACCESS EXCLUSIVE MODE")
        found = table_use(session, NAMES)
        holder.rollback()
        assert found["raw.games"].applications == found["raw.parts"].applications == ("loader",)
        assert table_use(session, NAMES)["raw.games"].applications == ()


def test_what_was_never_analyzed_is_not_taken_for_empty(database: Login, person: Callable[[str], Person]) -> None:
    """Rows that the catalog has not counted yet are known from the statistics once their session has told them."""
    with open_session(database) as session:
        session.execute(SETUP.encode())
        session.execute("SELECT pg_stat_force_next_flush()")
        found = table_use(session, NAMES)["raw.games"]
    assert found.rows == 5000
    assert not found.empty
    assert found.writes is None or found.writes >= 0
