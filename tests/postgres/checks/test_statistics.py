"""Statistics that no longer describe their table."""

from datetime import timedelta

from ops_lib.model.finding import Severity
from ops_lib.model.result import Result
from ops_lib.model.target import Login
from ops_lib.postgres.checks import CHECKS, Evidence
from ops_lib.postgres.session import Session
from ops_lib.postgres.snapshot import take
from tests.postgres.conftest import NOW, execute

LOADED = (
    "CREATE EXTENSION pg_stat_statements",
    "CREATE TABLE games (season int, week int) WITH (autovacuum_enabled = off)",
    "INSERT INTO games SELECT 2000 + i % 20, i % 18 FROM generate_series(1, 40000) AS i",
    "ANALYZE games",
    "INSERT INTO games SELECT 2025, i % 18 FROM generate_series(1, 20000) AS i",
)
WORK = "SELECT count(*) FROM games AS a JOIN games AS b USING (season, week) WHERE a.season = 2025 AND a.week < 3"


def _look(session: Session, **more: object) -> Result:
    session.rows("SELECT pg_stat_clear_snapshot()")
    return CHECKS["statistics"].look(Evidence(session=session, now=NOW, **more))  # type: ignore[arg-type]


def test_a_load_that_nobody_analyzes(database: Login, session: Session) -> None:
    """Where autovacuum is off it is a warning, the wrong estimate is shown, and the remedy ends it."""
    execute(database, *LOADED, *[WORK] * 3)
    (finding,) = _look(session).findings
    assert (finding.subject, finding.cause, finding.severity) == ("public.games", "stale-statistics", Severity.WARNING)
    proof = finding.evidence["estimate"]
    assert (proof["column"], proof["value"]) == ("season", "2025")
    assert proof["actual_rows"] >= 10 * proof["estimated_rows"]
    assert len(finding.symptoms) == 1
    execute(database, *(finding.remedy.sql or "").split("\n"))
    assert _look(session).findings == ()


def test_a_large_table_that_was_never_analyzed(database: Login, session: Session) -> None:
    """It has a cause of its own."""
    execute(database, *LOADED[:3])
    (finding,) = _look(session).findings
    assert finding.cause == "missing-statistics"


def test_what_autovacuum_is_about_to_repair_is_information(database: Login, session: Session) -> None:
    """With autovacuum on it is a warning only once several of its turns have gone by."""
    execute(database, *LOADED[:4], "INSERT INTO games SELECT 2025, 1 FROM generate_series(1, 20000)",
            "ALTER TABLE games SET (autovacuum_enabled = on)")  # fmt: skip
    earlier = take(session, NOW)
    (young,) = _look(session).findings
    assert young.severity is Severity.INFO
    later = Evidence(session=session, now=NOW + timedelta(hours=1), newest=earlier)
    overdue = CHECKS["statistics"].look(later).findings
    assert [finding.severity for finding in overdue] in ([Severity.WARNING], [])


def test_small_and_analyzed_tables_are_silent(database: Login, session: Session) -> None:
    """A counter that changes all the time, and a large table that was analyzed by hand with autovacuum off."""
    execute(database, *LOADED[:4], "CREATE TABLE counters AS SELECT 1 AS id, 0 AS n FROM generate_series(1, 40)",
            *["UPDATE counters SET n = n + 1"] * 300)  # fmt: skip
    assert _look(session).findings == ()
