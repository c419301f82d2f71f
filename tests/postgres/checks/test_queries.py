"""The costliest queries, and which of them are slow now."""

import pytest

from ops_lib.model.finding import Severity
from ops_lib.model.snapshot import Counters
from ops_lib.model.target import Login
from ops_lib.postgres.checks import CHECKS, Evidence, Tolerances
from ops_lib.postgres.checks.queries import judge
from ops_lib.postgres.session import Session
from ops_lib.postgres.workload import Costly, Workload
from tests.postgres.conftest import NOW, execute


def _slow(ms: float = 500.0, calls: int = 10, blocks: int = 50_000) -> Counters:
    return Counters(calls=calls, total_ms=ms * calls, blocks_hit=blocks * calls, rows=calls)


@pytest.mark.parametrize(
    ("item", "cost", "cause", "severity"),
    [
        ({"so_far": _slow()}, 90_000.0, "slow-query", Severity.INFO),
        ({"so_far": _slow(), "before": Counters(calls=5, total_ms=50)}, 90_000.0, "query-slower", Severity.WARNING),
        ({"so_far": _slow()}, 8.0, "query-was-slow", Severity.INFO),
        ({"so_far": _slow(), "since": Counters(calls=0, total_ms=0)}, 90_000.0, "slow-query", Severity.INFO),
        ({"so_far": _slow(blocks=5)}, 90_000.0, "query-waits", Severity.INFO),
    ],
)
def test_a_slow_statement_is_judged_by_what_it_does_now(
    item: dict[str, Counters], cost: float, cause: str, severity: Severity
) -> None:
    """Only one that became slower is a warning of its own."""
    statement = Costly(query_id="7", text="SELECT 1", share=0.5, **item)
    work = Workload(statements=(statement,), source="test")
    (finding,) = judge(work, {"SELECT 1": cost}, {}, Tolerances()).findings
    assert (finding.subject, finding.cause, finding.severity) == ("query:7", cause, severity)


def test_what_is_quick_now_is_silent() -> None:
    """A statement that is quick while we look is not slow, whatever it was before."""
    quick = Counters(calls=100, total_ms=5.0)
    work = Workload(statements=(Costly(query_id="7", text="SELECT 1", so_far=_slow(), recent=quick),), source="test")
    assert judge(work, {}, {}, Tolerances()).findings == ()


def test_the_real_counters_are_read(database: Login, session: Session) -> None:
    """A slow statement of somebody else is found with its text; ours and BEGIN are not in the table."""
    execute(database, "CREATE EXTENSION pg_stat_statements", "BEGIN", "SELECT pg_sleep(0.15)", "ROLLBACK")
    result = CHECKS["queries"].look(Evidence(session=session, now=NOW))
    (finding,) = result.findings
    assert finding.evidence["text"] == "SELECT pg_sleep($1)"
    assert finding.cause in ("query-waits", "query-was-slow")
    assert result.table is not None
    assert not any("BEGIN" in row[-1] or "runbook" in row[-1] for row in result.table.rows)


def test_without_the_extension_it_looks_on_and_says_so(session: Session) -> None:
    """What cannot be seen is in the notes, with what to do about it."""
    notes = " ".join(CHECKS["queries"].look(Evidence(session=session, now=NOW)).notes)
    assert "CREATE EXTENSION" in notes
    assert "looks at pg_stat_activity" in notes
