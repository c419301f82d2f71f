"""Proof after a change: that it did what the rehearsal did, left nothing invalid, and what it did to queries."""

from collections.abc import Mapping, Sequence
from typing import Any

from ops_lib.model.finding import Finding, Remedy, Severity
from ops_lib.model.result import Metric, Result, Table

SLOWER = 0.2
"""A plan that costs a fifth more than before is worth a look."""

_SHOWN = 10
_NOTHING = 0.005


def proven(
    *,
    verified: int,
    different: Sequence[str] | None,
    invalid: Sequence[str],
    views: tuple[int, Sequence[str]],
    analyzed: Sequence[str],
    queries: Sequence[Mapping[str, Any]] | None,
) -> Result:
    """What was looked at, and what is not as it should be.

    `different` is how the schema is another than the rehearsed one, and nothing where that could not be compared;
    `queries` is nothing where statements are not counted.
    """
    findings = [*_different(different or ()), *_invalid(invalid), *_broken(views[1]), *_slower(queries or ())]
    said = [
        f"{verified} verify {'file holds' if verified == 1 else 'files hold'}" if verified else "no verify files",
        "the schema is the rehearsed one" if different == [] else "the schema was not compared",
        f"{views[0]} dependent views can be read",
        f"analyzed: {', '.join(analyzed)}" if analyzed else "nothing had to be analyzed",
    ]
    trouble = f"{len(findings)} things are not as they should be"
    rows = [
        (row["query"], row["text"][:80], row["before"], row["after"], f"{row['change']:+.0%}") for row in queries or ()
    ]
    change = impact(queries)
    return Result(
        title="Verify",
        verdict=f"{trouble if findings else '; '.join(said)}.",
        findings=tuple(findings),
        table=Table.of(("query", "text", "planned cost before", "after", "change"), rows[:_SHOWN]) if rows else None,
        metrics={"planned cost": Metric(value=change, unit="share")} if change is not None else {},
        notes=_unseen(different, queries),
    )


def impact(queries: Sequence[Mapping[str, Any]] | None) -> float | None:
    """How much dearer the known statements are together by the planner, each by its share of the time; -0.4 is less."""
    total = sum(row["total_ms"] for row in queries or ())
    if not queries or not total:
        return None
    return float(round(sum(row["total_ms"] * row["change"] for row in queries) / total, 4))


def performance(queries: Sequence[Mapping[str, Any]] | None) -> str:
    """The impact on queries as a message to others has it."""
    change = impact(queries)
    if queries is None:
        return "not measured: statements are not counted on this database"
    if change is None:
        return "no counted statement reads these tables"
    over = f"over {len(queries)} known {'query' if len(queries) == 1 else 'queries'}"
    if abs(change) < _NOTHING:
        return f"none by the planner, {over}"
    return f"{abs(change):.0%} {'cheaper' if change < 0 else 'dearer'} by the planner, {over}"


def _different(changes: Sequence[str]) -> list[Finding]:
    if not changes:
        return []
    return [
        _finding(
            "migration_schema", "database", Severity.CRITICAL, "schema-drift",
            f"the schema is not the rehearsed one: {'; '.join(changes[:5])}",
            "see who else changes this database, and whether what they did was meant", {"different": list(changes)},
        )
    ]  # fmt: skip


def _invalid(found: Sequence[str]) -> list[Finding]:
    return [
        _finding(
            "migration_invalid", text.split()[1], Severity.WARNING, "invalid-object", text,
            "drop an invalid index and build it again; validate a constraint", {"found": text},
        )
        for text in found
    ]  # fmt: skip


def _broken(views: Sequence[str]) -> list[Finding]:
    return [
        _finding(
            "migration_view", text.split(": ")[0], Severity.CRITICAL, "invalid-object", f"this view is broken: {text}",
            "make it again", {"found": text},
        )
        for text in views
    ]  # fmt: skip


def _slower(queries: Sequence[Mapping[str, Any]]) -> list[Finding]:
    return [
        _finding(
            "migration_query", f"query:{row['query']}", Severity.WARNING, "query-slower",
            f"the planner expects it to cost {row['change']:.0%} more than before: {row['text'][:120]}",
            "read its plan: SOP-004", dict(row),
        )
        for row in queries
        if row["change"] > SLOWER
    ]  # fmt: skip


def _finding(
    check: str, subject: str, severity: Severity, cause: str, summary: str, remedy: str, evidence: Mapping[str, Any]
) -> Finding:
    return Finding(check=check, subject=subject, severity=severity, cause=cause, summary=summary,
                   remedy=Remedy(text=remedy), evidence=evidence)  # fmt: skip


def _unseen(different: Sequence[str] | None, queries: Sequence[Mapping[str, Any]] | None) -> tuple[str, ...]:
    told = [] if different is not None else ["the schema could not be compared with that of the rehearsal"]
    told += [] if queries is not None else ["statements are not counted here: what it did to queries is not known"]
    return tuple(told)
