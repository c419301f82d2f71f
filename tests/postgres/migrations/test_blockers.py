"""Who is in the way is known well enough to be named, and only whom it cannot hurt is ended."""

import threading
from collections.abc import Callable

import psycopg
import pytest

from ops_lib.model.rollout import Blocker
from ops_lib.model.target import Login
from ops_lib.postgres.migrations import blockers
from tests.conftest import open_session
from tests.eventually import eventually
from tests.postgres.conftest import Person, execute
from tests.postgres.migrations.rollouts import value


def found(login: Login, *people: Person) -> dict[str, Blocker]:
    """What is known of some sessions, by their applications."""
    with open_session(login) as looking:
        pids = [each.info.backend_pid for each in people]
        return {each.application: each for each in blockers.sessions(looking, pids)}


def test_readers_and_writers_are_told_apart(database: Login, person: Callable[[str], Person]) -> None:
    """A reader may be ended, a writer only where it is idle, and none that holds an advisory lock for reading only."""
    execute(database, "CREATE TABLE t (id int)")
    reader, writer, locker = person("reader"), person("writer"), person("locker")
    reader.execute("SELECT * FROM t")
    writer.execute("INSERT INTO t VALUES (1)")
    locker.execute("SELECT pg_advisory_lock(7)")
    seen = found(database, reader, writer, locker)
    assert {name: each.reads_only for name, each in seen.items()} == {"reader": True, "writer": False, "locker": False}
    assert all(each.may_be_ended for each in seen.values())  # each is idle in its transaction


def test_a_writer_at_work_is_not_ended(database: Login, person: Callable[[str], Person]) -> None:
    """One that reads is, while it works, and nobody else is touched."""
    execute(database, "CREATE TABLE t (id int)")
    reader, writer, other = person("reader"), person("writer"), person("bystander")
    other.execute("SELECT 1")
    threads = [threading.Thread(target=busy, args=[who]) for who in (reader, writer)]
    reader.execute("SELECT * FROM t")
    writer.execute("INSERT INTO t VALUES (1)")
    for thread in threads:
        thread.start()
    assert eventually(lambda: all(each.state == "active" for each in found(database, reader, writer).values()))
    with open_session(database) as looking:
        seen = tuple(found(database, reader, writer).values())
        gone = blockers.end(looking, seen)
        assert [each.application for each in gone] == ["reader"]
        assert value(database, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reader'") == 0
        writer.cancel()
    for thread in threads:
        thread.join()
    other.execute("SELECT 1")


def busy(who: Person) -> None:
    """Work until somebody ends it."""
    with pytest.raises(psycopg.OperationalError):
        who.execute("SELECT pg_sleep(60)")


def test_a_session_that_took_the_place_of_another_is_not_ended(
    database: Login, person: Callable[[str], Person]
) -> None:
    """A process id is not enough: the session must have begun when the one that was seen had."""
    reader = person("reader")
    reader.execute("SELECT 1")
    mistaken = Blocker(pid=reader.info.backend_pid, state="idle in transaction", began="2020-01-01T00:00:00+00:00")
    with open_session(database) as looking:
        assert blockers.end(looking, [mistaken]) == ()
    reader.execute("SELECT 1")


def test_the_refusal_names_the_oldest_and_counts_the_others() -> None:
    """One line with the session, and the ways on."""
    old = Blocker(pid=7, application="etl", user="ann", state="active", transaction_s=61.0, statement="SELECT 1")
    error = blockers.refusal("apply x", [old, Blocker(pid=8)], resume="runbook resume R", seconds=120)
    assert "session 7 (etl, user ann, active, transaction open for 61 s: 'SELECT 1') and 1 more stand" in error.message
    assert "SELECT pg_terminate_backend(7)" in str(error.hint)
    assert "nobody was seen" in blockers.refusal("x", [], resume="runbook resume R", seconds=1).message
