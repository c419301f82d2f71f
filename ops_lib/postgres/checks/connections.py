"""Is there room for more connections, and who holds them?"""

from collections.abc import Mapping, Sequence
from typing import Any

from ops_lib.model.finding import Finding, Remedy, Severity
from ops_lib.model.result import Metric, Result, Table
from ops_lib.postgres.checks.evidence import Evidence, Tolerances

TITLE = "Is there room for more connections?"
BLAMED_SHARE = 0.5

Rows = Sequence[Mapping[str, Any]]


def look(evidence: Evidence) -> Result:
    (limits,) = evidence.answer("connections", "limits")
    return judge(limits, evidence.answer("connections", "used"), evidence.tolerances)


def judge(limits: Mapping[str, Any], rows: Rows, tolerances: Tolerances) -> Result:
    """A finding where the connections that ordinary roles may have are nearly used up, named after who holds most."""
    usable = max(1, limits["most"] - limits["reserved"])
    used = sum(row["connections"] for row in rows)
    share = used / usable
    findings = (_finding(used, usable, rows, tolerances),) if share >= tolerances.connections_warning else ()
    return Result(
        title=TITLE,
        verdict=findings[0].summary if findings else f"{used} of {usable} connections are in use ({share:.0%}).",
        findings=findings,
        table=_table(rows) if rows else None,
        metrics={
            "connections_used": Metric(value=used, unit="connections"),
            "connections_share": Metric(value=round(share, 3), unit="1"),
        },
        next_step="TSG-CONNECTIONS says how to size the pool." if findings else None,
    )


def _finding(used: int, usable: int, rows: Rows, tolerances: Tolerances) -> Finding:
    most = _by_application(rows)
    name, held, idle = max(most, key=lambda one: one[1])
    blamed = held >= BLAMED_SHARE * used
    leaking = blamed and idle >= BLAMED_SHARE * held
    critical = used / usable >= tolerances.connections_critical
    return Finding(
        check="connections",
        subject=f"application:{name}" if blamed else "cluster",
        severity=Severity.CRITICAL if critical else Severity.WARNING,
        cause="pool-leak" if leaking else "connections-exhausted",
        summary=f"{used} of {usable} connections are in use ({used / usable:.0%});"
        f" {name} holds {held}, {idle} of them idle.",
        remedy=Remedy(
            text=f"Cap the pool of {name}, or put PgBouncer in front of it; a higher max_connections only moves the"
            " wall. Ending its idle connections gives room at once.",
            sql=_ending(name) if leaking else None,
        ),
        evidence={"used": used, "usable": usable, "application": name, "held": held, "idle": idle},
        weight=min(1.0, used / usable),
    )


def _by_application(rows: Rows) -> list[tuple[str, int, int]]:
    names = dict.fromkeys(row["application"] for row in rows)
    return [
        (
            name,
            sum(row["connections"] for row in rows if row["application"] == name),
            sum(row["idle"] for row in rows if row["application"] == name),
        )
        for name in names
    ]


def _ending(application: str) -> str:
    name = "" if application == "unnamed" else application.replace("'", "''")
    idle = f"application_name = '{name}' AND state = 'idle' AND state_change < now() - interval '1 minute'"
    return "\n".join(["SELECT pg_terminate_backend(pid) FROM pg_stat_activity", f"WHERE {idle};"])


def _table(rows: Rows) -> Table:
    columns = ("application", "user_name", "connections", "active", "idle", "idle_in_transaction")
    return Table.of(columns, [tuple(row[name] for name in columns) for row in rows])
