"""Diagnosis: what the words `check` and `compare` ask of a target, each question in isolation.

A question that fails or takes too long is skipped with its reason and never stops the others. A loss of the database
is not: it ends the run.

An index that is gone is seen twice, by `changed` and by the check `missing_indexes`. Both name it under the key of the
check (`missing_indexes:TABLE`), so that it is kept once; the check is asked later and knows more, and its word stands.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ops_lib.model.changes import Change, ChangeKind, differences
from ops_lib.model.errors import BadInput, OpsError, StatementFailed
from ops_lib.model.finding import Finding, Remedy, Severity
from ops_lib.model.result import Metric, Result, Table
from ops_lib.model.snapshot import Snapshot, StatementState
from ops_lib.model.target import Login
from ops_lib.model.times import format_instant
from ops_lib.postgres import workload
from ops_lib.postgres.checks import CHECKS, Evidence, Tolerances
from ops_lib.postgres.examine import examine
from ops_lib.postgres.session import Session

CHANGED_TITLE = "What changed since it was well?"
BARS = 8


def ask(
    session: Session,
    name: str,
    *,
    now: datetime,
    baseline: Snapshot | None = None,
    newest: Snapshot | None = None,
    scratch: Login | None = None,
    tolerances: Tolerances | None = None,
) -> Result:
    """The answer to one check. `baseline` is when it was well, `newest` the last look; `scratch` is for experiments."""
    if name not in CHECKS:
        raise BadInput(f"there is no check {name!r}", hint=f"known are {', '.join(CHECKS)}")
    check = CHECKS[name]
    evidence = Evidence(
        session=session,
        now=now,
        baseline=baseline,
        newest=newest,
        scratch=scratch,
        tolerances=tolerances or Tolerances(),
    )
    try:
        workload.begin(session)
        with session.bounded(check.limits):
            return check.look(evidence)
    except StatementFailed as error:
        return _skipped(check.title, error.message, evidence.notes)
    except OpsError:
        raise
    except Exception as error:  # a fault of a check's own must not take the others with it
        return _skipped(check.title, f"the check failed by its own fault ({type(error).__name__}: {error})")


def _skipped(title: str, reason: str, notes: Sequence[str] = ()) -> Result:
    return Result(title=title, verdict=f"Not answered: {reason}.", skipped=reason, notes=tuple(notes))


def changed(session: Session, baseline: Snapshot | None, present: Snapshot) -> Result:
    """What is different from the baseline, as one table; an index that is gone is a finding where a query misses it."""
    if baseline is None:
        reason = "no earlier snapshot of this database was kept"
        return Result(title=CHANGED_TITLE, verdict=f"There is nothing to compare with: {reason}.", skipped=reason)
    try:
        changes = differences(baseline, present)
        missed = _tables_read_slowly(session, present, changes)
    except StatementFailed as error:
        return _skipped(CHANGED_TITLE, error.message)
    return judge_changes(changes, baseline, present, missed)


def _tables_read_slowly(session: Session, present: Snapshot, changes: Iterable[Change]) -> dict[str, list[str]]:
    """The tables that statements which became slower read now, each with the ids of those statements."""
    slower = {change.subject.removeprefix("query:") for change in changes if change.kind is ChangeKind.QUERY_SLOWER}
    statements = [item for item in present.statements or () if item.query_id in slower]
    costly = [_costly(item) for item in statements[:20]]
    tables: dict[str, list[str]] = {}
    for item, scan, facts in examine(session, costly).scans() if costly else ():
        known = tables.setdefault(facts.root, [])
        if scan.sequential and item.statement.query_id and item.statement.query_id not in known:
            known.append(item.statement.query_id)
    return tables


def _costly(item: StatementState) -> workload.Costly:
    return workload.Costly(query_id=item.query_id, text=item.text, so_far=item.counters)


def judge_changes(
    changes: Sequence[Change], baseline: Snapshot, present: Snapshot, missed: dict[str, list[str]]
) -> Result:
    """The changes as a result; `missed` are the tables that slower statements read in whole."""
    since = format_instant(baseline.taken_at)
    words = {item.query_id: " ".join(item.text.split())[:100] for item in present.statements or ()}
    findings = tuple(finding for change in changes if (finding := _finding(change, baseline, missed)))
    slower = sum(change.kind is ChangeKind.QUERY_SLOWER for change in changes)
    gone = sum(change.kind is ChangeKind.INDEX_GONE for change in changes)
    return Result(
        title=CHANGED_TITLE,
        verdict=_verdict(changes, findings, since),
        findings=_once(findings),
        table=Table.of(("what", "where", "before", "now", "factor"), [_row(change, words) for change in changes])
        if changes
        else None,
        metrics={
            "changes": Metric(value=len(changes), unit="changes"),
            "slower_statements": Metric(value=slower, unit="statements"),
            "indexes_gone": Metric(value=gone, unit="indexes"),
        },
        notes=tuple(dict.fromkeys((f"compared with the snapshot of {since}", *baseline.notes, *present.notes))),
        next_step="Ask which of these explains the slow queries below." if slower else None,
    )


def _verdict(changes: Sequence[Change], findings: Sequence[Finding], since: str) -> str:
    if not changes:
        return f"Nothing that a snapshot sees has changed since {since}."
    telling = next((finding for finding in findings if finding.severity is not Severity.INFO), None)
    if telling:
        return telling.summary
    kinds = [change.kind.value for change in changes]
    counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    return f"Since {since}: {counted}."


def _finding(change: Change, baseline: Snapshot, missed: dict[str, list[str]]) -> Finding | None:
    if change.kind is ChangeKind.INDEX_GONE and change.index is not None:
        return _index_gone(change, baseline, missed.get(change.subject, []))
    if change.kind is ChangeKind.SETTING:
        name = change.subject.removeprefix("setting:")
        return _plain(
            change, "setting-changed", f"{name} was {change.before or 'default'}, is {change.after or 'default'}."
        )
    if change.kind is ChangeKind.TABLE_GROWN:
        return _plain(change, "table-grown", f"{change.subject} grew from {change.before} to {change.after}.")
    return None


def _plain(change: Change, cause: str, summary: str) -> Finding:
    return Finding(
        check="changed",
        subject=change.subject,
        severity=Severity.INFO,
        cause=cause,
        summary=summary,
        remedy=Remedy(text="See whether it was meant, and whether what became slow began then."),
        evidence={"before": change.before, "after": change.after, "factor": _rounded(change.factor)},
    )


def _index_gone(change: Change, baseline: Snapshot, statements: Sequence[str]) -> Finding:
    """Bad news only where a slower statement reads the whole table now: indexes are also dropped on purpose."""
    index = change.index
    assert index is not None
    since = format_instant(baseline.taken_at)
    slower = f", and {len(statements)} slower statements read the whole table now" if statements else ""
    return Finding(
        check="missing_indexes",
        subject=change.subject,
        severity=Severity.WARNING if statements else Severity.INFO,
        cause="dropped-index",
        summary=f"The index {index.name} on {change.subject} has gone since {since}{slower}.",
        remedy=Remedy(text="Make the index again as it was.", sql=index.restoration()),
        evidence={
            "lost_index": change.before,
            "lost_index_last_seen": format_instant(baseline.taken_at),
            "scans_when_last_seen": index.scans,
            "slower_statements": len(statements),
        },
        weight=0.5 if statements else 0.0,
        symptoms=tuple(f"queries:query:{query_id}" for query_id in statements),
    )


def _once(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """One finding for each key: where a table lost several indexes, the one that was used most."""
    ordered = sorted(findings, key=lambda f: (f.severity.weight, f.evidence.get("scans_when_last_seen", 0)))
    return tuple({finding.key: finding for finding in ordered}.values())


def _row(change: Change, words: dict[str, str]) -> tuple[Any, ...]:
    query_id = change.subject.removeprefix("query:")
    where = words.get(query_id, change.subject)
    return (change.kind.value, where, change.before, change.after, _rounded(change.factor))


def _rounded(factor: float | None) -> float | None:
    return None if factor is None else round(factor, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The numbers of the one picture that says more than a table: horizontal bars, one or two to a label."""

    title: str
    unit: str
    labels: tuple[str, ...]
    before: tuple[float, ...] | None
    now: tuple[float, ...]


def chart(session: Session, *, baseline: Snapshot | None = None, newest: Snapshot | None = None) -> Chart | None:
    """Mean times of the costliest queries, beside those when it was well; nothing where no statement is counted."""
    try:
        work = workload.workload(session, baseline=baseline, newest=newest)
    except StatementFailed:
        return None
    items = [item for item in work.statements if not item.nested]
    compared = [item for item in items if item.before is not None and item.before.calls][:BARS]
    chosen = compared or items[:BARS]
    if not chosen:
        return None
    return Chart(
        title="Mean time of the costliest queries" + (", then and now" if compared else ""),
        unit="ms",
        labels=tuple(item.short[:60] for item in chosen),
        before=tuple(round(item.before.mean_ms, 3) for item in compared if item.before) if compared else None,
        now=tuple(round(_latest_ms(item), 3) for item in chosen),
    )


def _latest_ms(item: workload.Costly) -> float:
    """The mean since the baseline, which a few quick calls while we looked must not hide."""
    return item.so_far.since(item.before).mean_ms if item.before else item.now.mean_ms
