"""What clients notice of migrations: pgbench writes, somebody reads for long, and a tool changes the tables."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psycopg
from migrations_files import HOT, Change, proven
from migrations_tools import ALEMBIC, ALEMBIC_EACH, DBMATE, OURS, PSQL, Place, Took, Tool

from ops_lib.postgres import binaries

CLIENTS, LIMIT = 8, 1.0
WARM, CALM, READER, AFTER = 3, 10, 12, 3
"""Seconds: until pgbench is warm, of it alone, that the reader is waited for, and until the clients are sent away."""

SEED = "seed"
_REPORT = (
    "SELECT count(*), (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(bbalance) FROM pgbench_branches),"
    " (SELECT max(mtime) FROM pgbench_history) FROM pgbench_accounts WHERE aid < 100"
)
_WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    " AND application_name <> 'pgbench' AND %s = ANY(pg_blocking_pids(pid))"
)
_SEND_AWAY = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgbench'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One of pgbench. Times are seconds; `ended` since 1970."""

    client: int
    ended: float
    took: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the clients saw from the reader's first query to the end of the migration. Times are seconds.

    `waited` is how many clients had a transaction of more than a second, `silent` the longest time in which no
    client ended one; `kept` is the throughput while the migrations were applied, as a part of the one before.
    """

    longest: float
    waited: int
    silent: float
    before: float
    kept: float
    applying: float
    whole: float
    applied: int
    error: str


def rest(place: Place, folder: Path, database: str) -> Took:
    """Nothing is changed, for as long as others are held up."""
    began = time.time()
    time.sleep(READER)
    return Took(began=began, whole=READER, apply_began=began, applying=READER)


def nothing(folder: Path, changes: Sequence[Change]) -> None:
    """Nothing is written."""


ALONE = Tool(name="pgbench alone", write=nothing, apply=rest)
READ = Tool(name="pgbench and the reader", write=nothing, apply=rest)
FLOORS = (ALONE, READ)
TOOLS = (*FLOORS, OURS, PSQL, ALEMBIC, ALEMBIC_EACH, DBMATE)


def seed(place: Place, scale: int) -> None:
    """The tables of pgbench, in a database that the others are copied from."""
    with place.connect("postgres") as session:
        session.execute(f"CREATE DATABASE {SEED}".encode())
    assert _pgbench(place, "-i", "-q", "-s", str(scale), place.url(SEED)).wait() == 0


def measure(place: Place, tool: Tool) -> Load:
    """One tool on a copy of the tables."""
    folder = tool.folder(place, HOT, "load")
    with place.database("bank", SEED) as database, place.connect(database) as session:
        with _clients(place, database) as log:
            time.sleep(WARM)
            began = time.time()
            time.sleep(CALM)
            calm = (began, time.time())
            with ThreadPoolExecutor(1) as pool, _reader(place, database, tool is not ALONE) as reader:
                work = pool.submit(tool.apply, place, folder, database)
                _outlive(session, reader, work)
            time.sleep(AFTER)
            session.execute(_SEND_AWAY.encode())
        (applied,) = session.execute(proven(HOT).encode()).fetchone() or (0,)
        return _seen(list(_transactions(log)), calm, work.result(), int(str(applied)))


@contextmanager
def _clients(place: Place, database: str) -> Iterator[Path]:
    """pgbench with a log of each transaction, in a folder of its own."""
    log = place.folder / f"log-{time.time_ns()}"
    log.mkdir()
    arguments = ("-n", "-c", str(CLIENTS), "-j", "2", "-T", "86400", "--log", f"--log-prefix={log}/pgbench")
    with _pgbench(place, *arguments, place.url(database)) as running:
        try:
            yield log
            running.wait(30)
        finally:
            running.kill()


def _pgbench(place: Place, *arguments: str) -> "subprocess.Popen[bytes]":
    unheard = subprocess.DEVNULL
    program = binaries.installed() / "bin/pgbench"
    return subprocess.Popen(
        [program, *arguments], env=place.environment, stdin=unheard, stdout=unheard, stderr=unheard
    )  # fmt: skip


@contextmanager
def _reader(place: Place, database: str, wanted: bool) -> Iterator[int]:
    """A report in one snapshot, which has read all tables and is not done; which process it is."""
    with place.connect(database) as session:
        if wanted:
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            session.execute(_REPORT)
        yield session.info.backend_pid


def _outlive(session: "psycopg.Connection[tuple[object, ...]]", reader: int, work: "Future[Took]") -> None:
    """Returns when the reader has been waited for long enough, or when nobody will wait for it any more."""
    end = float("inf")
    while not work.done() and time.monotonic() < end:
        if end == float("inf") and session.execute(_WAITS, [reader]).fetchone() != (0,):
            end = time.monotonic() + READER
        time.sleep(0.05)


def _transactions(log: Path) -> Iterator[Transaction]:
    """client, number, microseconds, script, and the end in seconds and microseconds: a line of pgbench's log."""
    for file in log.iterdir():
        for line in file.read_text().splitlines():
            client, _, took, _, seconds, micro = line.split()[:6]
            yield Transaction(client=int(client), ended=int(seconds) + int(micro) / 1e6, took=int(took) / 1e6)


def _seen(transactions: list[Transaction], calm: tuple[float, float], took: Took, applied: int) -> Load:
    during = (took.apply_began, took.apply_began + took.applying)
    until = took.began + took.whole + AFTER
    noticed = [each for each in transactions if calm[1] <= each.ended <= until]
    ends = sorted(each.ended for each in noticed)
    before = _rate(transactions, calm)
    return Load(
        longest=max(each.took for each in noticed),
        waited=len({each.client for each in noticed if each.took > LIMIT}),
        silent=max((after - end for end, after in pairwise(ends)), default=0.0),
        before=before, kept=_rate(transactions, during) / before,
        applying=took.applying, whole=took.whole, applied=applied, error=took.error,
    )  # fmt: skip


def _rate(transactions: list[Transaction], span: tuple[float, float]) -> float:
    began, ended = span
    return sum(began <= each.ended < ended for each in transactions) / (ended - began)
