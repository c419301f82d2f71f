"""How a login becomes a session, and what keeps that from writing."""

from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from ops_lib.model.errors import BadTarget, TargetUnreachable
from ops_lib.model.target import Guard, Hazard, Login
from ops_lib.postgres.connection import connect, end_sessions, identify, parse_dsn
from tests.postgres.conftest import Person, execute, until

READER = ("CREATE ROLE reader_test", "GRANT pg_read_all_data, pg_monitor TO reader_test")


def test_a_session_is_read_only_named_and_bounded(database: Login) -> None:
    """What the server knows of a session is what it was asked to be."""
    with connect(database, application_name="runbook/X/1", statement_timeout_ms=1234, lock_timeout_ms=56) as opened:
        names = ("application_name", "statement_timeout", "lock_timeout", "client_connection_check_interval")
        assert [opened.execute(f"SHOW {name}").fetchone() for name in names] == [
            ("runbook/X/1",), ("1234ms",), ("56ms",), ("1s",),
        ]  # fmt: skip
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            opened.execute("CREATE TABLE t (a int)")


def test_a_changing_session_may_write(database: Login) -> None:
    """Only a hazard that says so opens the way to a change."""
    with connect(database, application_name="x", hazard=Hazard.CHANGES) as opened:
        opened.execute("CREATE TABLE t (a int)")
        assert identify(opened).guard is Guard.NONE


def test_the_guard_is_the_role_where_it_cannot_write(database: Login) -> None:
    """A session is kept from writing by its role, or else only by its own setting."""
    execute(database, *READER)
    try:
        with connect(database, application_name="x") as opened:
            assert identify(opened).guard is Guard.SESSION
        keywords = {**database.keywords, "user": "reader_test"}
        execute(database, "ALTER ROLE reader_test LOGIN PASSWORD 'test'")
        with connect(Login(keywords=keywords, password="test"), application_name="x") as opened:
            known = identify(opened)
        assert (known.guard, known.can_monitor, known.can_read_all) == (Guard.ROLE, True, True)
        with connect(replace(database, role="reader_test"), application_name="x") as opened:
            assert identify(opened).guard is Guard.SESSION, "RESET ROLE would bring the superuser back"
    finally:
        execute(database, "DROP ROLE reader_test")


@pytest.mark.parametrize(
    "text",
    [
        "host=db password=sesame",
        "postgresql://ana:sesame@db/x",
        "postgresql://db/x?sslpassword=sesame",
        "host=db x=sesame",
        "",
    ],
)
def test_a_password_in_a_dsn_is_refused_and_not_repeated(text: str) -> None:
    """The message says what to do instead, and never holds the password."""
    with pytest.raises(BadTarget) as caught:
        parse_dsn(text)
    assert "sesame" not in str(caught.value)


def test_an_unreachable_target_says_what_to_do(database: Login) -> None:
    """A wrong database, a closed port and a missing service each have their hint."""
    nowhere = replace(database, keywords={**database.keywords, "dbname": "nowhere"})
    for login, sign in (
        (nowhere, "names of database"),
        (Login(keywords={"host": "127.0.0.1", "port": "1"}), "is the server running"),
        (Login(keywords={"service": "nowhere"}), "PGSERVICEFILE"),
    ):
        with pytest.raises(TargetUnreachable) as caught:
            connect(login, application_name="x")
        assert sign in str(caught.value)


def test_sessions_of_a_run_are_ended(database: Login, person: Callable[[str], Person]) -> None:
    """Only sessions of that name end, and they are counted."""
    mine, other = person("runbook/SOP-004/DEAD"), person("application")
    assert end_sessions(database, "runbook/SOP-004/DEAD") == 1
    other.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        mine.execute("SELECT 1")
    until(lambda: end_sessions(database, "runbook/SOP-004/DEAD") == 0)
