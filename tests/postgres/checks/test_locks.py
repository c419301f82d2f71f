"""Chains of waiting sessions, made by people who really wait."""

from collections.abc import Callable
from typing import Any

import pytest

from ops_lib.model.finding import Severity
from ops_lib.model.result import Result
from ops_lib.model.target import Login
from ops_lib.postgres.checks import CHECKS, Evidence, Tolerances
from ops_lib.postgres.checks.locks import judge
from ops_lib.postgres.session import Session
from tests.postgres.conftest import NOW, Person, Waiting, execute, until, waiters

TABLE = ("CREATE TABLE t AS SELECT 1 AS id, 0 AS n",)


def _look(session: Session) -> Result:
    return CHECKS["locks"].look(Evidence(session=session, now=NOW))


def _when_old(session: Session) -> Result:
    """The answer once the longest wait is over a second, below which nothing is said."""
    until(lambda: any(row["s"] for row in session.rows(
        "SELECT clock_timestamp() - waitstart > interval '1.1 s' AS s FROM pg_locks WHERE NOT granted"
    )))  # fmt: skip
    return _look(session)


def test_nobody_waits(session: Session) -> None:
    """An empty answer is good news."""
    assert _look(session).findings == ()
    assert _look(session).verdict == "Nobody waits for a lock."


def test_the_head_of_a_chain_is_named(
    database: Login, session: Session, person: Callable[[str], Person], waiting: Waiting
) -> None:
    """Of three sessions in a row, the idle one at the head is the finding, not those who wait."""
    execute(database, *TABLE)
    head, second, third = person("batch"), person("web"), person("web")
    head.execute("UPDATE t SET n = 1")
    waiting.start(second, "UPDATE t SET n = 2")
    until(lambda: waiters(session) == 1)
    waiting.start(third, "UPDATE t SET n = 3")
    until(lambda: waiters(session) == 2)
    (finding,) = _when_old(session).findings
    head_pid = head.info.backend_pid
    assert (finding.subject, finding.cause) == ("application:batch", "idle-in-transaction")
    assert finding.evidence["pid"] == head_pid
    assert finding.evidence["waiting"] == 2
    assert finding.evidence["relation"] == "public.t"
    assert finding.remedy.sql == f"SELECT pg_terminate_backend({head_pid});"
    head.rollback()
    waiting.threads[0].join()
    second.rollback()


def test_a_queue_behind_ddl(
    database: Login, session: Session, person: Callable[[str], Person], waiting: Waiting
) -> None:
    """Readers that wait behind a waiting ALTER TABLE are its doing, and the table is the subject."""
    execute(database, *TABLE)
    reader, changer, late = person("report"), person("migration"), person("web")
    reader.execute("SELECT * FROM t")
    waiting.start(changer, "ALTER TABLE t ADD COLUMN m int")
    until(lambda: waiters(session) == 1)
    waiting.start(late, "SELECT * FROM t")
    until(lambda: waiters(session) == 2)
    (finding,) = _when_old(session).findings
    assert (finding.subject, finding.cause) == ("public.t", "ddl-queue")
    assert finding.remedy.sql == f"SELECT pg_cancel_backend({changer.info.backend_pid});"
    assert "report" in finding.summary
    reader.rollback()
    waiting.threads[0].join()
    changer.rollback()


def test_a_leaked_advisory_lock(session: Session, person: Callable[[str], Person], waiting: Waiting) -> None:
    """An idle session with an advisory lock is a head of its own kind."""
    holder, waiter = person("migrator"), person("migrator 2")
    holder.execute("SELECT pg_advisory_lock(815)")
    holder.commit()
    waiting.start(waiter, "SELECT pg_advisory_lock(815)")
    until(lambda: waiters(session) == 1)
    (finding,) = _when_old(session).findings
    assert (finding.subject, finding.cause) == ("application:migrator", "leaked-advisory-lock")
    holder.close()


SESSION = {
    "pid": 1, "application_name": "app", "user_name": "u", "client": None, "backend_type": "client backend",
    "state": "idle in transaction", "state_s": 100.0, "transaction_s": 100.0, "query": "x", "wait_event_type": None,
    "advisory": False,
}  # fmt: skip
WAIT = {
    "pid": 2, "blockers": [1], "waits_s": 5.0, "mode": "ShareLock", "locktype": "transactionid", "relation": "public.t",
    "awaited": "77", "query": "UPDATE", "application_name": "w", "user_name": "u",
}  # fmt: skip
PREPARED = {"gid": "it's", "awaited": "77", "user_name": "u", "prepared_s": 500.0, "relations": ["public.t"]}


@pytest.mark.parametrize(
    ("wait", "head", "severity"),
    [
        ({"waits_s": 0.5}, {}, None),
        ({"waits_s": 2.0}, {}, Severity.INFO),
        ({"waits_s": 5.0}, {}, Severity.WARNING),
        ({"waits_s": 61.0}, {}, Severity.CRITICAL),
        ({"waits_s": 5.0}, {"state": "active"}, Severity.INFO),
        ({"waits_s": 11.0}, {"state": "active"}, Severity.WARNING),
        ({"waits_s": 5.0}, {"state_s": 0.01}, Severity.INFO),
    ],
)
def test_severity_goes_by_age_and_by_what_the_head_does(
    wait: dict[str, Any], head: dict[str, Any], severity: Severity | None
) -> None:
    """Ordinary contention is silent, a wait that does not end by itself is not."""
    findings = judge([{**WAIT, **wait}], [{**SESSION, **head}], [], Tolerances()).findings
    assert [finding.severity for finding in findings] == ([severity] if severity else [])


def test_a_prepared_transaction_is_a_head() -> None:
    """It has no process: its name is the subject, and quoted in the remedy."""
    (finding,) = judge([{**WAIT, "blockers": [0]}], [], [PREPARED], Tolerances()).findings
    assert (finding.subject, finding.cause) == ("prepared:it's", "orphaned-prepared-transaction")
    assert finding.remedy.sql == "ROLLBACK PREPARED 'it''s';"


def test_a_circle_has_no_head() -> None:
    """Two that wait for each other are the server's to part."""
    circle = [{**WAIT, "blockers": [3]}, {**WAIT, "pid": 3, "blockers": [2]}]
    assert judge(circle, [], [], Tolerances()).findings == ()
