"""While something changes, nobody waits long behind it, replicas keep up, and the disk has room."""

import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg import pq

from ops_lib.model.errors import Refused
from ops_lib.model.rollout import Limits
from ops_lib.model.target import Login
from ops_lib.postgres.migrations.watch import Watch
from tests.conftest import open_session
from tests.eventually import eventually
from tests.postgres.conftest import Person, execute
from tests.postgres.migrations.rollouts import NAME, TABLE, changing, end_backends, go, history, numbered, value

ADD = "ALTER TABLE t ADD a int"


class Clients:
    """Some who read and write one row each in turn, and measure how long each statement took."""

    def __init__(self, login: Login, count: int = 4) -> None:
        self.longest, self.statements = 0.0, 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=[login, number]) for number in range(count)]

    def _work(self, login: Login, number: int) -> None:
        with open_session(login) as session:
            while not self._stop.is_set():
                began = time.monotonic()
                session.execute("UPDATE t SET n = n + 1 WHERE id = %s", [number])
                self.longest = max(self.longest, time.monotonic() - began)
                self.statements += 1

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        assert eventually(lambda: self.statements > 10)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def filled(database: Login) -> Login:
    """A database whose first migration has made a table with rows for clients."""
    go(database, numbered(TABLE))
    execute(database, "INSERT INTO t SELECT generate_series(0, 9)")
    return database


def test_clients_go_on_while_a_long_reader_keeps_the_lock(filled: Login, person: Callable[[str], Person]) -> None:
    """Behind a reader that stays, no client waits longer than a second, whatever we may wait ourselves."""
    reader = person("report")
    reader.execute("SELECT count(*) FROM t")
    patient = Limits(lock_ms=60_000, wait_ms=1000, patience_s=2.5)
    with Clients(filled) as clients, pytest.raises(Refused, match="report"):
        go(filled, numbered(TABLE, ADD), limits=patient)
    assert 0.5 < clients.longest < 2.0
    reader.rollback()
    assert go(filled, numbered(TABLE, ADD))[1].attempts == 1


def test_the_budget_for_locks_is_shorter_than_the_limit_for_waits(
    filled: Login, person: Callable[[str], Person]
) -> None:
    """By default half a second is the longest that a client waits for a migration that waits itself."""
    reader, told = person("report"), []
    reader.execute("SELECT count(*) FROM t")
    with Clients(filled) as clients, pytest.raises(Refused):
        go(filled, numbered(TABLE, ADD), limits=Limits(patience_s=1.0), tell=told.append)
    assert clients.longest < 1.5
    assert any("got no lock in time" in text for text in told)


def test_work_under_a_lock_is_stopped_when_others_have_waited(filled: Login) -> None:
    """What takes too long with everybody locked out is undone each time, and the error says that it is the reason."""
    slow = numbered(TABLE, f"{ADD}; SELECT pg_sleep(30)")
    with Clients(filled) as clients, pytest.raises(Refused, match=r"was stopped \d times in .* others waited 1 s"):
        go(filled, slow, limits=Limits(patience_s=1.0))
    assert clients.longest < 2.5
    assert history(filled) == ["01"]


def test_how_long_others_were_blocked_is_told(filled: Login) -> None:
    """A change that holds its lock for a while, within the limit, says what that has cost them."""
    slow = numbered(TABLE, f"{ADD}; SELECT pg_sleep(0.6)")
    with Clients(filled):
        done = go(filled, slow, limits=Limits(wait_ms=20_000, patience_s=30))[1]
    assert 0.1 < done.blocked_s <= done.seconds
    assert done.held_s >= 0.6


def test_waiting_behind_a_vacuum_does_not_stop_what_blocks_no_client(
    filled: Login, person: Callable[[str], Person]
) -> None:
    """An administrator's command that queues behind a concurrent build is no client."""
    reader = person("report")
    reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
    admin = threading.Thread(target=execute, args=[filled, "VACUUM t"])
    building = threading.Thread(target=go, args=[filled, numbered(TABLE, "CREATE INDEX CONCURRENTLY i ON t (n)")])
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'ShareUpdateExclusiveLock'"
    waited = f"{waiting} AND clock_timestamp() - waitstart > '1.5 s'"
    building.start()
    assert eventually(lambda: value(filled, "SELECT count(*) FROM pg_stat_progress_create_index") == 1)
    admin.start()
    assert eventually(lambda: value(filled, waited) == 1)
    reader.rollback()
    building.join()
    admin.join()
    assert value(filled, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass") is True
    assert history(filled) == ["01", "02"]


def test_a_full_disk_stops_before_anything_begins(filled: Login) -> None:
    """The share of the disk of the data directory that is used is compared to the limit."""
    with pytest.raises(Refused, match=r"apply 02.sql does not begin: the disk of .*data is \d+% full"):
        go(filled, numbered(TABLE, ADD), limits=Limits(disk_used=0.0))
    assert history(filled) == ["01"]


def test_what_cannot_be_watched_is_said(filled: Login) -> None:
    """A role that may not know where the data is gets its migrations, and the record says so; a superuser sees it."""
    assert go(filled, numbered(TABLE, ADD))[1].unseen == ()
    execute(filled, "CREATE ROLE plain LOGIN PASSWORD 'plain'", "GRANT ALL ON SCHEMA public TO plain",
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO plain")  # fmt: skip
    try:
        plain = Login(keywords={**filled.keywords, "user": "plain"}, password="plain")
        assert go(plain, [*numbered(TABLE, ADD, "CREATE TABLE own (id int)")])[2].unseen == ("disk not seen",)
    finally:
        execute(filled, "DROP OWNED BY plain", "DROP ROLE plain")


def test_the_watch_is_found_by_its_run_and_leaves_with_it(filled: Login) -> None:
    """Its session has the run in its name, and is closed at the end."""
    names = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{NAME}/watch'"
    with changing(filled) as session, Watch(session, Limits(), lambda text: None):
        assert value(filled, names) == 1
    assert eventually(lambda: value(filled, names) == 0)


def test_a_watch_that_was_ended_comes_back(filled: Login, person: Callable[[str], Person]) -> None:
    """Somebody ends its session: it opens another, and the limits hold again."""
    with changing(filled) as session, Watch(session, Limits(), lambda text: None) as watch:
        assert end_backends(filled, f"{NAME}/watch") == 1
        assert eventually(lambda: end_backends(filled, f"{NAME}/watch") == 1)
        watch.ready("it")
        with watch.over() as sight:
            session.connection.execute("BEGIN; LOCK TABLE t")
            other = person("client")
            thread = threading.Thread(target=lambda: other.execute("SELECT * FROM t"))
            thread.start()
            with pytest.raises(psycopg.errors.QueryCanceled):
                session.connection.execute("SELECT pg_sleep(30)")
            session.connection.execute("ROLLBACK")
            thread.join()
        assert "behind it" in sight.stopped


# -- replicas ----------------------------------------------------------------------------------------------------------


class Replica:
    """The receiving end of physical replication, which says of itself how far it has come."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._connection = psycopg.connect(
            **{**login.keywords, "replication": "true", "application_name": "standby"}, password=login.password,
            autocommit=True,
        )  # fmt: skip
        start = str(value(login, "SELECT pg_current_wal_flush_lsn()"))
        result = self._connection.pgconn.exec_(f"START_REPLICATION PHYSICAL {start}".encode())
        assert result.status == pq.ExecStatus.COPY_BOTH
        self.say(start)

    def say(self, place: str) -> None:
        """Tell the server that everything up to a place was written and replayed."""
        high, low = (int(half, 16) for half in place.split("/"))
        at = (high << 32) + low
        status = struct.pack("!cqqqqb", b"r", at, at, at, 0, 0)
        self._connection.pgconn.put_copy_data(status)
        self._connection.pgconn.flush()

    def catch_up(self) -> None:
        self.say(str(value(self._login, "SELECT pg_current_wal_lsn()")))

    def close(self) -> None:
        self._connection.pgconn.finish()


@pytest.fixture
def replica(filled: Login) -> Iterator[Replica]:
    """One that is behind by some WAL, until it says otherwise."""
    with closing(Replica(filled)) as standby:
        behind = (
            "SELECT count(*) FROM pg_stat_replication WHERE pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) > 100000"
        )
        execute(filled, "CREATE TABLE wal AS SELECT repeat('x', 100) FROM generate_series(1, 2000)")
        assert eventually(lambda: value(filled, behind) == 1)
        yield standby
    assert eventually(lambda: value(filled, "SELECT count(*) FROM pg_stat_replication") == 0)


def test_a_replica_that_does_not_catch_up_stops_the_next_change(filled: Login, replica: Replica) -> None:
    """Nothing begins, and the error names it."""
    late = Limits(lag_bytes=100_000, lag_patience_s=0.3)
    with pytest.raises(Refused, match=r"does not begin: standby is .* behind, and did not catch up"):
        go(filled, numbered(TABLE, ADD), limits=late)
    assert history(filled) == ["01"]


def test_a_replica_that_catches_up_is_waited_for(filled: Login, replica: Replica) -> None:
    """It is told whom the next change waits for, and goes on by itself."""
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        replica.catch_up()

    go(filled, numbered(TABLE, ADD), limits=Limits(lag_bytes=100_000), tell=tell)
    assert "apply 02.sql waits: standby is" in told[0]
    assert history(filled) == ["01", "02"]
