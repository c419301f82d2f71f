"""Sessions that sit on an open transaction."""

from collections.abc import Callable

from ops_lib.model.finding import Severity
from ops_lib.postgres.checks import CHECKS, Evidence, Tolerances
from ops_lib.postgres.session import Session
from tests.postgres.conftest import NOW, Person


def test_who_sits_longest_is_named_by_application(session: Session, person: Callable[[str], Person]) -> None:
    """Below the limit there is a table and no finding; over it, one finding for the application."""
    idle = person("reports")
    idle.execute("SELECT 1")
    look = CHECKS["idle_in_transaction"].look
    young = look(Evidence(session=session, now=NOW))
    assert young.findings == ()
    assert young.table is not None
    (finding,) = look(Evidence(session=session, now=NOW, tolerances=Tolerances(idle_s=0.0001))).findings
    assert (finding.key, finding.cause) == ("idle_in_transaction:application:reports", "idle-in-transaction")
    assert finding.severity is Severity.CRITICAL
    assert finding.remedy.sql == f"SELECT pg_terminate_backend({idle.info.backend_pid});"


def test_our_own_transaction_is_not_one(session: Session) -> None:
    """The session that looks is not what it looks for."""
    with session.read_only():
        assert CHECKS["idle_in_transaction"].look(Evidence(session=session, now=NOW)).table is None
