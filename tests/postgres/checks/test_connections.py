"""Room for connections, and who takes it."""

from typing import Any

import pytest

from ops_lib.model.finding import Severity
from ops_lib.postgres.checks import CHECKS, Evidence, Tolerances
from ops_lib.postgres.checks.connections import judge
from ops_lib.postgres.session import Session
from tests.postgres.conftest import NOW

LIMITS = {"most": 100, "reserved": 3}


def _row(application: str, connections: int, idle: int) -> dict[str, Any]:
    return {
        "application": application, "user_name": "u", "connections": connections, "active": connections - idle,
        "idle": idle, "idle_in_transaction": 0,
    }  # fmt: skip


def test_a_quiet_server_has_room(session: Session) -> None:
    """The real questions are answered, and the share is a metric."""
    result = CHECKS["connections"].look(Evidence(session=session, now=NOW))
    assert result.findings == ()
    assert 0 <= result.metrics["connections_share"].value < 0.8


@pytest.mark.parametrize(
    ("rows", "subject", "cause", "severity"),
    [
        ([_row("web", 85, 84)], "application:web", "pool-leak", Severity.WARNING),
        ([_row("web", 85, 10)], "application:web", "connections-exhausted", Severity.WARNING),
        (
            [_row("a", 30, 29), _row("b", 33, 30), _row("c", 33, 33)],
            "cluster",
            "connections-exhausted",
            Severity.CRITICAL,
        ),
    ],
)
def test_who_holds_most_is_named(rows: list[dict[str, Any]], subject: str, cause: str, severity: Severity) -> None:
    """An application is blamed only where it holds half of all, and for a leak where half of its own are idle."""
    (finding,) = judge(LIMITS, rows, Tolerances()).findings
    assert (finding.subject, finding.cause, finding.severity) == (subject, cause, severity)


def test_an_idle_pool_below_its_cap_is_healthy() -> None:
    """Seventy idle connections of ninety-seven are a pool."""
    assert judge(LIMITS, [_row("web", 70, 70)], Tolerances()).findings == ()
