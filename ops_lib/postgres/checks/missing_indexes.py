"""Which index would spare a costly statement its reading of a whole table, and was it there before?

The plan as it is now decides: what was repaired is silent, however slow it once was.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops_lib.model.finding import Finding, Remedy, Severity
from ops_lib.model.result import Metric, Result, Table
from ops_lib.model.snapshot import IndexState, Snapshot
from ops_lib.model.times import format_instant
from ops_lib.postgres import trial
from ops_lib.postgres.advice import Advice, advise, searched
from ops_lib.postgres.checks.evidence import Evidence, count, listed
from ops_lib.postgres.examine import Examined, examine
from ops_lib.postgres.facts import TableFacts
from ops_lib.postgres.plans import Scan
from ops_lib.postgres.workload import Costly, relevant

TITLE = "Is an index missing?"
NOT_TRIED = "not tried: no scratch server was given"
TRIALS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A scan of a costly statement that an index would serve."""

    examined: Examined
    scan: Scan
    facts: TableFacts
    advice: Advice

    @property
    def statement(self) -> Costly:
        return self.examined.statement


def look(evidence: Evidence) -> Result:
    work = evidence.workload()
    chosen = relevant(work.statements)
    examination = examine(evidence.session, chosen)
    building = evidence.optional("missing_indexes", "building") or []
    wants = [want for item, scan, facts in examination.scans() if (want := _want(item, scan, facts)) is not None]
    notes = (*work.notes, *examination.notes, *evidence.notes)
    tried = _trials(evidence, wants)
    return judge(wants, evidence.baseline, tried, [row["table"] for row in building], len(chosen), notes)


def _want(item: Examined, scan: Scan, facts: TableFacts) -> Want | None:
    advice = advise(scan, facts, found=item.found, answered=item.answered)
    return Want(examined=item, scan=scan, facts=facts, advice=advice) if advice else None


def _trials(evidence: Evidence, wants: Sequence[Want]) -> dict[tuple[str, tuple[str, ...]], Any]:
    """The proposed indexes, the most wanted first, each tried on a copy where there is a server for it."""
    if evidence.scratch is None:
        return {}
    tried: dict[tuple[str, tuple[str, ...]], Any] = {}
    for want in sorted(wants, key=lambda want: -want.statement.share):
        key = (want.facts.name, want.advice.columns)
        if key not in tried:
            few = len(tried) < TRIALS
            tried[key] = _trial(evidence, want) if few else f"not tried: {TRIALS} others were"
    return tried


def _trial(evidence: Evidence, want: Want) -> Any:
    scratch = evidence.scratch
    assert scratch is not None
    return trial.attempt(evidence.session, scratch, want.facts, want.advice.columns, evidence.now)


def judge(
    wants: Sequence[Want],
    baseline: Snapshot | None,
    tried: Mapping[tuple[str, tuple[str, ...]], Any],
    building: Sequence[str],
    looked_at: int,
    notes: Sequence[str],
) -> Result:
    """One finding for each table, named after its partitioned parent where it has one."""
    tables = dict.fromkeys(want.facts.root for want in wants)
    findings = tuple(
        _finding(table, [want for want in wants if want.facts.root == table], baseline, tried, building)
        for table in tables
    )
    ordered = tuple(sorted(findings, key=lambda finding: -finding.weight))
    return Result(
        title=TITLE,
        verdict=ordered[0].summary if ordered else _nothing(looked_at),
        findings=ordered,
        table=_table(wants) if wants else None,
        metrics={"indexes_wanted": Metric(value=len(ordered), unit="tables")},
        notes=tuple(dict.fromkeys(notes)),
        next_step="Create the index CONCURRENTLY, then run this again: the finding is gone when the plan uses it."
        if ordered
        else None,
    )


def _nothing(looked_at: int) -> str:
    if not looked_at:
        return "No statement costs enough to ask for an index."
    return f"The plans of {count(looked_at, 'costly statement')} ask for no index that is not there."


def _finding(
    table: str,
    wants: Sequence[Want],
    baseline: Snapshot | None,
    tried: Mapping[tuple[str, tuple[str, ...]], Any],
    building: Sequence[str],
) -> Finding:
    best = max(wants, key=lambda want: (want.statement.share, want.advice.factor))
    proposals = merged([want.advice.columns for want in sorted(wants, key=lambda want: -want.statement.share)])
    gone = lost_indexes(best.facts, wants, baseline)
    statements = list({want.statement.text: want.statement for want in wants}.values())
    return Finding(
        check="missing_indexes",
        subject=table,
        severity=Severity.INFO if table in building else Severity.WARNING,
        cause="dropped-index" if gone else "missing-index",
        summary=_summary(table, best, gone, statements, building),
        remedy=_remedy(best.facts, proposals, gone),
        evidence=_evidence(best, wants, statements, gone, baseline, tried),
        weight=min(1.0, sum(statement.share for statement in statements)),
        symptoms=tuple(f"queries:query:{one.query_id}" for one in statements if one.query_id),
    )


def merged(proposals: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Column lists without those that another one begins with.

    >>> merged([("a",), ("a", "b"), ("c",), ("a",)])
    [('a', 'b'), ('c',)]
    """
    unique = list(dict.fromkeys(proposals))
    return [one for one in unique if not any(other != one and other[: len(one)] == one for other in unique)]


def lost_indexes(facts: TableFacts, wants: Sequence[Want], baseline: Snapshot | None) -> list[IndexState]:
    """Indexes of the baseline that are not there now and would serve what is wanted, the best first."""
    if baseline is None:
        return []
    present = {index.identity for index in facts.indexes}
    wanted = {facts.columns[name].quoted for want in wants for name in _searched_columns(want) if name in facts.columns}
    leads = {facts.columns[want.advice.columns[0]].quoted for want in wants}
    names = {facts.name, facts.root}
    gone = [
        index
        for index in baseline.indexes
        if index.table in names and index.identity not in present and index.shape and index.leads_with(leads)
    ]
    return sorted(gone, key=lambda index: (-sum(column in wanted for column in index.columns), -index.scans))


def _searched_columns(want: Want) -> frozenset[str]:
    return searched(want.scan, want.facts).columns


def _summary(
    table: str, best: Want, gone: Sequence[IndexState], statements: Sequence[Costly], building: Sequence[str]
) -> str:
    costly = count(len(statements), "costly statement")
    reading = "reads" if len(statements) == 1 else "read"
    rows = f"{best.facts.tuples:,.0f} rows of {table} to find about {max(1, round(best.advice.matched)):,}"
    if table in building:
        return f"An index on {table} is being built; until then {costly} {reading} {rows}."
    if gone:
        return f"The index {gone[0].name} on {table} is gone, and {costly} now {reading} {rows}."
    return f"{costly} {reading} {rows}: no index leads with {listed(best.advice.columns[:1])}."


def _remedy(facts: TableFacts, proposals: Sequence[tuple[str, ...]], gone: Sequence[IndexState]) -> Remedy:
    if gone:
        rest = [columns for columns in proposals if not gone[0].leads_with(facts.quoted(columns[:1]))]
        made = [_again(gone[0], facts), *(_create(facts, columns) for columns in rest)]
    else:
        made = [_create(facts, columns) for columns in proposals]
    return Remedy(text=" ".join(_advice_text(facts, proposals, gone)), sql="\n".join(made))


def _again(index: IndexState, facts: TableFacts) -> str:
    return index.restoration(concurrently=not facts.partitioned)


def _create(facts: TableFacts, columns: Sequence[str]) -> str:
    how = "" if facts.partitioned else " CONCURRENTLY"
    return f"CREATE INDEX{how} ON {facts.root} ({', '.join(facts.quoted(columns))});"


def _advice_text(facts: TableFacts, proposals: Sequence[tuple[str, ...]], gone: Sequence[IndexState]) -> Iterable[str]:
    yield "Make the index again as it was." if gone else "Create the index."
    if facts.partitioned:
        yield "On a partitioned table this locks out writers: for a busy one, build it on each partition first."
    else:
        yield "CONCURRENTLY does not block writers; if it fails, drop the invalid index that it leaves."
    if gone and gone[0].constraint:
        yield "The constraint that it served comes back with it."
    elif proposals and _unique(facts, proposals[0]):
        yield f"The statistics call every {proposals[0][0]} distinct: UNIQUE, or a primary key, may be what is meant."


def _unique(facts: TableFacts, columns: Sequence[str]) -> bool:
    known = facts.columns[columns[0]].statistics
    return len(columns) == 1 and known is not None and known.distinct == -1.0 and known.null_share == 0.0


def _evidence(
    best: Want,
    wants: Sequence[Want],
    statements: Sequence[Costly],
    gone: Sequence[IndexState],
    baseline: Snapshot | None,
    tried: Mapping[tuple[str, tuple[str, ...]], Any],
) -> dict[str, Any]:
    advice, facts = best.advice, best.facts
    return {
        "rows": round(facts.tuples),
        "pages": facts.state.pages,
        "columns": list(advice.columns),
        "rows_found": max(1, round(advice.matched)),
        "selectivity": round(advice.selectivity, 9),
        "selectivity_assumed": advice.assumed,
        "costly_statements": len(statements),
        "cost_now": round(advice.cost_now),
        "cost_with_index": round(advice.cost_then, 1),
        "plan": f"{best.scan.kind} on {facts.name}, filter {' and '.join(best.scan.filters) or 'none'}",
        "statements": [_statement(statement) for statement in statements[:5]],
        "lost_index": gone[0].definition() if gone else None,
        "lost_index_last_seen": format_instant(baseline.taken_at) if gone and baseline else None,
        "trial": tried.get((facts.name, advice.columns), NOT_TRIED),
    }


def _statement(statement: Costly) -> dict[str, Any]:
    return {
        "query_id": statement.query_id,
        "text": statement.short,
        "calls": statement.so_far.calls,
        "share_of_time": round(statement.share, 3),
        "mean_ms": round(statement.now.mean_ms, 2),
        "mean_ms_before": round(statement.before.mean_ms, 2) if statement.before else None,
        "sampled": statement.sampled,
    }


def _table(wants: Sequence[Want]) -> Table:
    columns = ("table", "index on", "rows", "rows found", "mean ms", "calls", "statement")
    rows = [
        (
            want.facts.name,
            ", ".join(want.facts.quoted(want.advice.columns)),
            round(want.facts.tuples),
            max(1, round(want.advice.matched)),
            round(want.statement.now.mean_ms, 1),
            want.statement.so_far.calls,
            want.statement.short[:100],
        )
        for want in sorted(wants, key=lambda want: -want.statement.share)
    ]
    return Table.of(columns, list(dict.fromkeys(rows)))
