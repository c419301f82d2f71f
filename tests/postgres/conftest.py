"""Sessions to a fresh database, and people who get in each other's way in it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from ops_lib.model.target import Login
from ops_lib.postgres.session import Session

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Person = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def session(database: Login) -> Iterator[Session]:
    """A read-only session of a run, as superuser."""
    with Session(name="test", login=database, application_name="runbook/SOP-004/RUN") as opened:
        yield opened


@pytest.fixture
def person(database: Login) -> Iterator[Callable[[str], Person]]:
    """Opens sessions of other applications, each with a transaction that stays open until it says otherwise."""
    with ExitStack() as open_sessions:

        def connect(application: str) -> Person:
            opened = psycopg.connect(
                **database.keywords, password=database.password, application_name=application, autocommit=False
            )
            open_sessions.callback(opened.close)
            return opened

        yield connect


class Waiting:
    """Statements that are on their way in threads of their own, ended with the test."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def start(self, who: Person, statement: str) -> None:
        def run() -> None:
            with suppress(psycopg.Error):
                who.execute(statement)

        thread = threading.Thread(target=run)
        thread.start()
        self.threads.append(thread)

    def join(self) -> None:
        for thread in self.threads:
            thread.join(10)


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    """Starts statements that wait; whoever they wait for must have ended before the test does."""
    started = Waiting()
    yield started
    started.join()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits for a condition, and fails where it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come"
        time.sleep(0.01)


def waiters(session: Session) -> int:
    """How many sessions of this database wait for a lock."""
    rows = session.rows(
        "SELECT count(DISTINCT l.pid) AS n FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE NOT l.granted AND a.datname = current_database()"
    )
    return int(rows[0]["n"])


def execute(login: Login, *statements: str) -> None:
    """Runs statements behind the back of the code under test."""
    with psycopg.connect(**login.keywords, password=login.password, autocommit=True) as opened:
        for statement in statements:
            opened.execute(statement.encode())


def login_as(login: Login, role: str) -> Login:
    """The same login, become another role."""
    return replace(login, role=role)
