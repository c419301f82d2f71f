"""Who keeps a transaction open and does nothing? It holds its locks, and what vacuum may not remove."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from ops_lib.model.finding import Finding, Remedy, Severity
from ops_lib.model.result import Metric, Result, Table
from ops_lib.model.times import format_seconds
from ops_lib.postgres.checks.evidence import Evidence, Tolerances, count

TITLE = "Does a session sit on an open transaction?"
CRITICAL_TIMES = 12

Rows = Sequence[Mapping[str, Any]]


def look(evidence: Evidence) -> Result:
    return judge(evidence.answer("idle_in_transaction"), evidence.tolerances)


def judge(rows: Rows, tolerances: Tolerances) -> Result:
    """One finding for each application whose oldest such session is over the limit."""
    findings = tuple(
        _finding(application, list(group), tolerances)
        for application, group in groupby(sorted(rows, key=_application), key=_application)
    )
    over = tuple(finding for finding in findings if finding.severity is not Severity.INFO)
    longest = max((row["idle_s"] for row in rows), default=0.0)
    return Result(
        title=TITLE,
        verdict=_verdict(len(rows), longest, tolerances) if not over else over[0].summary,
        findings=over,
        table=_table(rows) if rows else None,
        metrics={"longest_idle_in_transaction": Metric(value=round(longest, 1), unit="s")},
        next_step="Set idle_in_transaction_session_timeout for the role of that application." if over else None,
    )


def _application(row: Mapping[str, Any]) -> str:
    return row["application_name"] or "unnamed"


def _verdict(sessions: int, longest: float, tolerances: Tolerances) -> str:
    if not sessions:
        return "No session sits idle in a transaction."
    limit = format_seconds(tolerances.idle_s)
    idle = f"{count(sessions, 'session')} idle in a transaction, {format_seconds(longest)} at the longest"
    return f"{idle}; the limit is {limit}."


def _finding(application: str, rows: Rows, tolerances: Tolerances) -> Finding:
    oldest = max(rows, key=lambda row: row["idle_s"])
    idle = float(oldest["idle_s"])
    over = [row for row in rows if row["idle_s"] >= tolerances.idle_s]
    return Finding(
        check="idle_in_transaction",
        subject=f"application:{application}",
        severity=_severity(idle, tolerances),
        cause="idle-in-transaction",
        summary=f"pid {oldest['pid']} of {application} has sat idle in a transaction for {format_seconds(idle)}.",
        remedy=Remedy(
            text="End it; what it has not committed is rolled back. Then find where the application leaves a"
            " transaction open, and set idle_in_transaction_session_timeout for its role.",
            sql="\n".join(f"SELECT pg_terminate_backend({row['pid']});" for row in over) or None,
        ),
        evidence={
            "pid": oldest["pid"],
            "user": oldest["user_name"],
            "client": oldest["client"],
            "idle_s": round(idle, 1),
            "transaction_s": round(oldest["transaction_s"], 1),
            "sessions": len(rows),
            "horizon_age": max((row["horizon_age"] or 0 for row in rows), default=0),
            "last_statement": oldest["query"],
        },
        weight=0.3,
    )


def _severity(idle: float, tolerances: Tolerances) -> Severity:
    if idle < tolerances.idle_s:
        return Severity.INFO
    return Severity.CRITICAL if idle >= CRITICAL_TIMES * tolerances.idle_s else Severity.WARNING


def _table(rows: Rows) -> Table:
    columns = ("idle", "pid", "application", "user", "horizon age", "last statement")
    return Table.of(columns, [_row(row) for row in rows])


def _row(row: Mapping[str, Any]) -> tuple[Any, ...]:
    words = " ".join((row["query"] or "hidden").split())[:100]
    return (format_seconds(row["idle_s"]), row["pid"], _application(row), row["user_name"], row["horizon_age"], words)
