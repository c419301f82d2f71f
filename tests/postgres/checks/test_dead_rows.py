"""Dead rows that nobody removes."""

from ops_lib.model.finding import Severity
from ops_lib.model.result import Result
from ops_lib.model.target import Login
from ops_lib.postgres.checks import CHECKS, Evidence
from ops_lib.postgres.session import Session
from tests.postgres.conftest import NOW, execute


def _look(session: Session) -> Result:
    session.rows("SELECT pg_stat_clear_snapshot()")
    return CHECKS["dead_rows"].look(Evidence(session=session, now=NOW))


def test_autovacuum_was_switched_off(database: Login, session: Session) -> None:
    """The table is named with the switch as its cause, stale statistics are its symptom, and the remedy ends it."""
    execute(
        database,
        "CREATE TABLE t WITH (autovacuum_enabled = off) AS SELECT i AS id, 0 AS n FROM generate_series(1, 20000) AS i",
        "UPDATE t SET n = 1",
        "UPDATE t SET n = 2",
    )
    (finding,) = _look(session).findings
    assert (finding.subject, finding.cause, finding.severity) == ("public.t", "autovacuum-disabled", Severity.WARNING)
    assert finding.symptoms == ("statistics:public.t",)
    execute(database, *(finding.remedy.sql or "").split("\n"))
    assert _look(session).findings == ()


def test_a_small_counter_and_free_space_are_silent(database: Login, session: Session) -> None:
    """Forty rows that are all dead, and a table that was made half empty."""
    execute(
        database,
        "CREATE TABLE counters AS SELECT i AS id, 0 AS n FROM generate_series(1, 40) AS i",
        *["UPDATE counters SET n = n + 1"] * 50,
        "CREATE TABLE airy WITH (fillfactor = 50) AS SELECT i AS id FROM generate_series(1, 20000) AS i",
    )
    assert _look(session).findings == ()
