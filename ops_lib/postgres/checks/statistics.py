"""Do the planner's statistics still describe the tables, and does a costly query suffer where they do not?"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ops_lib.model.finding import Finding, Remedy, Severity
from ops_lib.model.result import Metric, Result, Table
from ops_lib.model.snapshot import Snapshot
from ops_lib.model.times import format_instant
from ops_lib.postgres import estimates
from ops_lib.postgres.advice import searched
from ops_lib.postgres.checks.evidence import Evidence, Tolerances, count
from ops_lib.postgres.estimates import Misestimate
from ops_lib.postgres.examine import Examination, examine
from ops_lib.postgres.facts import table_facts
from ops_lib.postgres.workload import Costly, relevant

TITLE = "Do the planner's statistics still describe the tables?"
OVERDUE_NAPS = 5
LEAST_OVERDUE = timedelta(minutes=5)
PROVEN_TABLES = 5

Rows = Sequence[Mapping[str, Any]]
Readers = Mapping[str, Sequence[Costly]]


def look(evidence: Evidence) -> Result:
    limits = evidence.tolerances
    rows = evidence.answer("statistics", "modified", {"rows": limits.modified_rows, "share": limits.modified_share})
    rows = _really_changed(evidence, rows)
    if not rows:
        return judge([], {}, {}, evidence.newest, evidence.now, limits)
    work = evidence.workload()
    examination = examine(evidence.session, relevant(work.statements))
    readers = _readers(examination)
    proofs = _proofs(evidence, rows, examination)
    notes = (*work.notes, *examination.notes, *evidence.notes)
    return judge(rows, readers, proofs, evidence.newest, evidence.now, limits, notes)


def _really_changed(evidence: Evidence, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the tables that were analyzed right after their load, by the session that loaded them.

    What a session changed reaches the counters up to a second later, and so after the ANALYZE that had seen it. Where
    a table was only added to, its file tells: it has not grown since.
    """
    names = [row["name"] for row in rows if row["pages"] > 0]
    files = (evidence.optional("statistics", "files", {"names": names}) or []) if names else []
    pages = {row["name"]: row["pages"] for row in files}
    return [row for row in rows if not is_as_analyzed(row, pages.get(row["name"]), evidence.tolerances)]


def is_as_analyzed(row: Mapping[str, Any], pages: int | None, tolerances: Tolerances) -> bool:
    """Whether a table that was only added to still has the size that it had when it was analyzed."""
    if pages is None or row["analyzed_at"] is None or row["tuples"] <= 0:
        return False
    few = bool(row["rewritten"] < tolerances.modified_share * row["tuples"])
    return few and pages < (1 + tolerances.modified_share / 2) * int(row["pages"])


def _readers(examination: Examination) -> dict[str, list[Costly]]:
    """The costly statements that read each table."""
    readers: dict[str, dict[str, Costly]] = {}
    for item, _, facts in examination.scans():
        readers.setdefault(facts.name, {})[item.statement.text] = item.statement
    return {name: sorted(found.values(), key=lambda one: -one.share) for name, found in readers.items()}


def _proofs(evidence: Evidence, rows: Rows, examination: Examination) -> dict[str, Misestimate]:
    """The worst estimate for each table, among the columns by which costly statements search it."""
    columns: dict[str, dict[str, None]] = {}
    for _, scan, facts in examination.scans():
        columns.setdefault(facts.name, {}).update(dict.fromkeys(sorted(searched(scan, facts).columns)))
    asked = [row for row in rows if columns.get(row["name"])][:PROVEN_TABLES]
    known = table_facts(evidence.session, [(row["schema"], row["relation"]) for row in asked])
    found = {one.name: estimates.worst(evidence.session, one, list(columns[one.name])) for one in known.values()}
    return {name: proof for name, proof in found.items() if proof is not None}


def judge(
    rows: Rows,
    readers: Readers,
    proofs: Mapping[str, Misestimate],
    newest: Snapshot | None,
    now: datetime,
    tolerances: Tolerances,
    notes: Sequence[str] = (),
) -> Result:
    """A warning where autovacuum will not repair it, or where a costly query is planned on a wrong estimate."""
    findings = tuple(
        _finding(row, readers.get(row["name"], ()), proofs.get(row["name"]), _overdue(row, newest, now))
        for row in rows
        if _is_stale(row, tolerances)
    )
    ordered = tuple(sorted(findings, key=lambda finding: (-finding.severity.weight, -finding.weight)))
    serious = [finding for finding in ordered if finding.severity is not Severity.INFO]
    return Result(
        title=TITLE,
        verdict=_verdict(ordered, serious),
        findings=ordered,
        table=_table([row for row in rows if _is_stale(row, tolerances)]) if ordered else None,
        metrics={"tables_with_stale_statistics": Metric(value=len(serious), unit="tables")},
        notes=tuple(dict.fromkeys(notes)),
        next_step="ANALYZE the table, then run this again." if serious else None,
    )


def _verdict(ordered: Sequence[Finding], serious: Sequence[Finding]) -> str:
    if serious:
        return serious[0].summary
    if ordered:
        return f"Statistics of {count(len(ordered), 'table')} are behind; autovacuum is about to see to it."
    return "The statistics of all larger tables are fresh enough."


def _never(row: Mapping[str, Any]) -> bool:
    return row["analyzed_at"] is None and not row["known"] and row["tuples"] <= 0


def _is_stale(row: Mapping[str, Any], tolerances: Tolerances) -> bool:
    size = max(row["tuples"], row["live"])
    much = row["modified"] >= max(tolerances.modified_rows, tolerances.modified_share * size)
    return size >= tolerances.modified_rows and (much or _never(row))


def _overdue(row: Mapping[str, Any], newest: Snapshot | None, now: datetime) -> bool:
    """Whether it was due already when the newest snapshot was taken, and autovacuum has let several turns go by."""
    then = newest.table(row["name"]) if newest else None
    if newest is None or then is None or then.modified < row["due_at"]:
        return False
    analyzed = format_instant(row["analyzed_at"]) if row["analyzed_at"] else None
    waited = now - newest.taken_at >= max(LEAST_OVERDUE, OVERDUE_NAPS * timedelta(seconds=row["naptime_s"]))
    return waited and then.analyzed_at == analyzed


def _finding(row: Mapping[str, Any], readers: Sequence[Costly], proof: Misestimate | None, overdue: bool) -> Finding:
    left_alone = not row["enabled"] or not row["running"] or overdue
    suffered = proof is not None and bool(readers)
    never = _never(row)
    share = min(1.0, sum(one.share for one in readers))
    return Finding(
        check="statistics",
        subject=row["name"],
        severity=Severity.WARNING if left_alone or suffered else Severity.INFO,
        cause="missing-statistics" if never else "stale-statistics",
        summary=_summary(row, proof, never=never, overdue=overdue),
        remedy=_remedy(row),
        evidence={
            "rows_now": max(round(row["live"]), round(row["tuples"]), 0),
            "rows_when_analyzed": round(row["tuples"]) if row["tuples"] >= 0 else None,
            "modified": row["modified"],
            "analyzed_at": format_instant(row["analyzed_at"]) if row["analyzed_at"] else None,
            "autovacuum": _autovacuum(row, overdue=overdue),
            "estimate": _estimate(proof),
            "read_by": [
                {"query_id": one.query_id, "text": one.short, "share": round(one.share, 3)} for one in readers[:5]
            ],
        },
        weight=max(share, 0.3 if left_alone else 0.1),
        symptoms=tuple(f"queries:query:{one.query_id}" for one in readers if one.query_id and suffered),
    )


def _autovacuum(row: Mapping[str, Any], *, overdue: bool) -> str:
    if not row["running"]:
        return "off for the whole server"
    if not row["enabled"]:
        return "switched off for this table"
    return "overdue" if overdue else "on"


def _summary(row: Mapping[str, Any], proof: Misestimate | None, *, never: bool, overdue: bool) -> str:
    rows = max(round(row["live"]), round(row["tuples"]), 0)
    state = "was never analyzed" if never else f"changed {row['modified']:,} times since it was analyzed"
    parts = [f"{row['name']} ({rows:,} rows) {state}"]
    autovacuum = _autovacuum(row, overdue=overdue)
    if autovacuum != "on":
        parts.append(f"autovacuum is {autovacuum}")
    if proof is not None:
        more = "at least " if proof.capped else ""
        parts.append(
            f"for {proof.column} = {proof.value} the planner expects {proof.estimated:,} rows and there are"
            f" {more}{proof.actual:,}"
        )
    return f"{'; '.join(parts)}."


def _estimate(proof: Misestimate | None) -> dict[str, Any] | None:
    if proof is None:
        return None
    return {
        "column": proof.column,
        "value": proof.value,
        "estimated_rows": proof.estimated,
        "actual_rows": proof.actual,
        "counted_to_the_end": not proof.capped,
    }


def _remedy(row: Mapping[str, Any]) -> Remedy:
    statements = [f"ANALYZE {row['name']};"]
    words = ["ANALYZE it: it reads a sample and blocks nobody."]
    if not row["enabled"]:
        statements.append(f"ALTER TABLE {row['name']} RESET (autovacuum_enabled);")
        words.append("Give it back to autovacuum, or have each load end with ANALYZE.")
    if not row["running"]:
        statements += ["ALTER SYSTEM SET autovacuum = on;", "SELECT pg_reload_conf();"]
        words.append("Autovacuum is off for the whole server: switch it on.")
    return Remedy(text=" ".join(words), sql="\n".join(statements))


def _table(rows: Rows) -> Table:
    columns = ("table", "rows", "modified", "analyzed", "autovacuum")
    return Table.of(columns, [_row(row) for row in rows])


def _row(row: Mapping[str, Any]) -> tuple[Any, ...]:
    analyzed = format_instant(row["analyzed_at"]) if row["analyzed_at"] else "never"
    return (
        row["name"],
        max(row["live"], round(row["tuples"])),
        row["modified"],
        analyzed,
        _autovacuum(row, overdue=False),
    )
