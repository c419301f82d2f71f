"""Are dead rows left behind, where autovacuum was switched off or does not come round?"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ops_lib.model.finding import Finding, Remedy, Severity
from ops_lib.model.result import Metric, Result, Table
from ops_lib.model.snapshot import Snapshot
from ops_lib.model.times import format_instant
from ops_lib.postgres.checks.evidence import Evidence, Tolerances, count

TITLE = "Are dead rows left behind?"
OVERDUE_NAPS = 5
LEAST_OVERDUE = timedelta(minutes=10)

Rows = Sequence[Mapping[str, Any]]


def look(evidence: Evidence) -> Result:
    limits = evidence.tolerances
    rows = evidence.answer("dead_rows", "dead", {"rows": limits.dead_rows, "share": limits.dead_share})
    horizon = (evidence.optional("dead_rows", "horizon") or []) if rows else []
    return judge(rows, horizon, evidence.newest, evidence.now, limits)


def judge(rows: Rows, horizon: Rows, newest: Snapshot | None, now: datetime, tolerances: Tolerances) -> Result:
    """A warning where nobody will remove them; what autovacuum is about to see to is information."""
    findings = tuple(_finding(row, horizon, _overdue(row, newest, now)) for row in rows)
    serious = [finding for finding in findings if finding.severity is not Severity.INFO]
    return Result(
        title=TITLE,
        verdict=_verdict(findings, serious),
        findings=findings,
        table=_table(rows) if rows else None,
        metrics={"dead_rows": Metric(value=sum(row["dead"] for row in rows), unit="rows")},
        next_step="VACUUM the table, then give it back to autovacuum." if serious else None,
    )


def _verdict(findings: Sequence[Finding], serious: Sequence[Finding]) -> str:
    if serious:
        return serious[0].summary
    if findings:
        return f"{count(len(findings), 'table')} with many dead rows; autovacuum is about to see to it."
    return "No larger table holds many dead rows."


def _overdue(row: Mapping[str, Any], newest: Snapshot | None, now: datetime) -> bool:
    """Whether it was due already when the newest snapshot was taken, and autovacuum has let several turns go by."""
    then = newest.table(row["name"]) if newest else None
    if newest is None or then is None or then.dead < row["due_at"]:
        return False
    vacuumed = format_instant(row["vacuumed_at"]) if row["vacuumed_at"] else None
    waited = now - newest.taken_at >= max(LEAST_OVERDUE, OVERDUE_NAPS * timedelta(seconds=row["naptime_s"]))
    return waited and then.vacuumed_at == vacuumed


def _finding(row: Mapping[str, Any], horizon: Rows, overdue: bool) -> Finding:
    off = not row["enabled"] or not row["running"]
    share = row["dead"] / max(1, row["live"] + row["dead"])
    return Finding(
        check="dead_rows",
        subject=row["name"],
        severity=Severity.WARNING if off or overdue else Severity.INFO,
        cause="autovacuum-disabled" if off else "autovacuum-overdue" if overdue else "dead-rows",
        summary=f"{share:.0%} of {row['name']} is dead ({row['dead']:,} rows beside {row['live']:,} live ones);"
        f" autovacuum {_state(row, overdue=overdue)}.",
        remedy=_remedy(row, horizon, overdue=overdue),
        evidence={
            "dead": row["dead"],
            "live": row["live"],
            "dead_share": round(share, 3),
            "pages": row["pages"],
            "vacuumed_at": format_instant(row["vacuumed_at"]) if row["vacuumed_at"] else None,
            "autovacuum_due_at_dead_rows": round(row["due_at"]),
            "horizon": [dict(holder) for holder in horizon],
        },
        weight=0.4 * share,
        symptoms=(f"statistics:{row['name']}",) if off else (),
    )


def _state(row: Mapping[str, Any], *, overdue: bool) -> str:
    if not row["running"]:
        return "is off for the whole server"
    if not row["enabled"]:
        return "is switched off for this table"
    return "is overdue" if overdue else "will see to it"


def _remedy(row: Mapping[str, Any], horizon: Rows, *, overdue: bool) -> Remedy:
    statements = [f"VACUUM (ANALYZE) {row['name']};"]
    words = ["VACUUM it; the space is used again, and only a rewrite gives it back to the disk."]
    if not row["enabled"]:
        statements.insert(0, f"ALTER TABLE {row['name']} RESET (autovacuum_enabled);")
        words.insert(0, "Give the table back to autovacuum.")
    if not row["running"]:
        statements[:0] = ["ALTER SYSTEM SET autovacuum = on;", "SELECT pg_reload_conf();"]
        words.insert(0, "Switch autovacuum on.")
    if overdue and horizon:
        words.append(f"What is dead may still be held by {horizon[0]['name']}: end that first.")
    return Remedy(text=" ".join(words), sql="\n".join(statements))


def _table(rows: Rows) -> Table:
    columns = ("table", "dead", "live", "vacuumed", "autovacuum")
    return Table.of(columns, [_row(row) for row in rows])


def _row(row: Mapping[str, Any]) -> tuple[Any, ...]:
    vacuumed = format_instant(row["vacuumed_at"]) if row["vacuumed_at"] else "never"
    return (row["name"], row["dead"], row["live"], vacuumed, "on" if row["enabled"] and row["running"] else "off")
