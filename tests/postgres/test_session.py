"""The object behind the word target()."""

import pytest

from ops_lib.model.errors import StatementFailed, TargetLost
from ops_lib.model.target import Hazard, Login
from ops_lib.postgres.connection import end_sessions
from ops_lib.postgres.session import Limits, Session, application_name
from tests.postgres.conftest import execute


def test_it_connects_when_it_is_first_asked(database: Login) -> None:
    """Making a session reaches nobody, and every statement is told with its time."""
    told: list[str] = []
    session = Session(name="t", login=database, application_name="x", on_statement=lambda sql, _: told.append(sql))
    with session:
        assert not session.connected
        assert session.rows("SELECT 'a%' AS text") == [{"text": "a%"}]
        assert session.rows("SELECT %(n)s + 1 AS sum", {"n": 1}) == [{"sum": 2}]
        assert told == ["SELECT 'a%' AS text", "SELECT %(n)s + 1 AS sum"]


def test_a_frame_comes_over_the_same_connection(session: Session) -> None:
    """pandas reads through SQLAlchemy, a percent sign in the SQL stays what it is, and no second session is opened."""
    (here,) = session.rows("SELECT pg_backend_pid() AS pid")
    frame = session.frame("SELECT pg_backend_pid() AS pid, '%' AS sign")
    assert frame.to_dict("records") == [{"pid": here["pid"], "sign": "%"}]
    assert session.frame("SELECT %(n)s AS n", {"n": 5})["n"].tolist() == [5]


@pytest.mark.parametrize("way", ["rows", "frame"])
def test_a_statement_that_fails_says_why(session: Session, way: str) -> None:
    """The server's first sentence is the reason, whoever wrapped it, and the session goes on."""
    with pytest.raises(StatementFailed, match='column "nothing" does not exist'):
        getattr(session, way)("SELECT nothing")
    assert session.rows("SELECT 1 AS one") == [{"one": 1}]


def test_limits_hold_inside_and_end_outside(session: Session) -> None:
    """Nested limits give way to those around them."""

    def timeout() -> str:
        return str(session.rows("SHOW statement_timeout")[0]["statement_timeout"])

    with session.bounded(Limits(statement_ms=2000)):
        with session.bounded(Limits(statement_ms=50)), pytest.raises(StatementFailed, match="time limit"):
            session.rows("SELECT pg_sleep(5)")
        assert timeout() == "2s"
    assert timeout() == "30s"


def test_a_lost_database_is_not_reached_again(database: Login, session: Session) -> None:
    """After a loss there is one clear error, again and again, and no second connection."""
    session.rows("SELECT 1")
    assert end_sessions(database, session.application_name) == 1
    for _ in range(2):
        with pytest.raises(TargetLost):
            session.rows("SELECT 1")
    assert session.lost


def test_a_read_only_transaction_holds_in_a_changing_session(database: Login) -> None:
    """Where a session may write, a look in between still cannot."""
    with Session(name="t", login=database, application_name="x", hazard=Hazard.CHANGES) as session:
        session.rows("CREATE TABLE t (a int)")
        with pytest.raises(StatementFailed, match="read-only"), session.read_only():
            session.rows("INSERT INTO t VALUES (1)")
        session.rows("INSERT INTO t VALUES (1)")


def test_our_statements_are_left_out_of_the_workload(database: Login, session: Session) -> None:
    """Every statement of a session is marked where pg_stat_statements keeps it."""
    execute(database, "CREATE EXTENSION pg_stat_statements")
    session.rows("-- why?\nSELECT 4711 AS number")
    (row,) = session.rows(
        "SELECT query FROM pg_stat_statements WHERE query LIKE '%AS number' AND query NOT LIKE '%LIKE%'"
    )
    assert row["query"].startswith("SELECT /* runbook */")


def test_a_run_is_found_by_name_however_long_its_runbook_is() -> None:
    """The server cuts names at 63 bytes; the run's id survives."""
    name = application_name("TEAM-" + "X" * 80, "01KDVDNA000000000000000000")
    assert len(name) <= 63
    assert name.endswith("/01KDVDNA000000000000000000")


def test_rows_without_a_column_are_rows(session: Session) -> None:
    """A probe may only want to know whether there is one."""
    assert session.rows("SELECT FROM generate_series(1, 2)") == [{}, {}]
    assert session.rows("SELECT WHERE false") == []
