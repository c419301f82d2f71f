"""Which queries cost the most, and which of them are slow now?

A statement is slow by what it does now: while we look, or else since the last snapshot. One that was slow before and
whose plan has become cheap is silent; one that is slow because of what it must read is named as information.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ops_lib.model.finding import Finding, Remedy, Severity
from ops_lib.model.result import ROWS_SHOWN, Metric, Result, Table
from ops_lib.model.snapshot import Counters
from ops_lib.postgres.checks.evidence import Evidence, Tolerances, count
from ops_lib.postgres.examine import Examination, examine
from ops_lib.postgres.workload import Costly, Workload

TITLE = "Which queries cost the most?"
CHEAP_COST = 1_000.0
IDLE_MS_PER_BLOCK = 1.0
FEW_BLOCKS = 100
SLOWER = 2.0
ENOUGH_CALLS = 3


def look(evidence: Evidence) -> Result:
    work = evidence.workload()
    limit = evidence.tolerances.slow_ms
    slow = [item for item in work.statements if item.now.mean_ms >= limit]
    costs = _costs(examine(evidence.session, slow[:20])) if slow else {}
    spills = evidence.optional("queries", "spills")
    return judge(work, costs, spills[0] if spills else {}, evidence.tolerances, evidence.notes)


def _costs(examination: Examination) -> dict[str, float]:
    """The planner's cost of each statement now, with those of the functions that it calls."""
    costs: dict[str, float] = {}
    for item in examination.examined:
        if item.plan is not None:
            costs[item.statement.text] = costs.get(item.statement.text, 0.0) + item.plan.cost
    return costs


def judge(
    work: Workload,
    costs: Mapping[str, float],
    spills: Mapping[str, Any],
    tolerances: Tolerances,
    notes: Sequence[str] = (),
) -> Result:
    """One finding for each slow statement that has an id; a warning only where it became slower than it was."""
    slow = [item for item in work.statements if item.now.mean_ms >= tolerances.slow_ms]
    findings = tuple(_finding(item, costs.get(item.text)) for item in slow[:ROWS_SHOWN] if item.query_id)
    return Result(
        title=TITLE,
        verdict=_verdict(work, slow, tolerances),
        findings=findings,
        table=_table(work.statements) if work.statements else None,
        metrics={
            "slow_statements": Metric(value=len(slow), unit="statements"),
            **({"temp_written": Metric(value=spills["temp_bytes"] or 0, unit="bytes")} if spills else {}),
        },
        notes=(*work.notes, *notes),
        next_step=None if work.statements else "Let the workload run, then ask again.",
    )


def _verdict(work: Workload, slow: Sequence[Costly], tolerances: Tolerances) -> str:
    if not work.statements:
        return f"No statement of this database was seen ({work.source})."
    costliest = work.statements[0]
    head = f"The costliest statement takes {costliest.share:.0%} of the time, {costliest.now.mean_ms:.1f} ms a call"
    if not slow:
        return f"{head}; none is slower than {tolerances.slow_ms:.0f} ms now."
    return f"{count(len(slow), 'statement')} slower than {tolerances.slow_ms:.0f} ms. {head}."


def _finding(item: Costly, cost: float | None) -> Finding:
    cause, severity, why = _judged(item, cost)
    now = item.now
    return Finding(
        check="queries",
        subject=f"query:{item.query_id}",
        severity=severity,
        cause=cause,
        summary=f"{now.mean_ms:.0f} ms a call, {item.share:.0%} of the time: {why}. {item.short[:80]}",
        remedy=Remedy(text=_REMEDIES[cause]),
        evidence={
            "text": item.short,
            "calls": item.so_far.calls,
            "mean_ms": round(now.mean_ms, 2),
            "mean_ms_so_far": round(item.so_far.mean_ms, 2),
            "mean_ms_before": round(item.before.mean_ms, 2) if item.before else None,
            "share_of_time": round(item.share, 3),
            "spread_ms": round(now.spread_ms, 2),
            "rows_per_call": round(now.rows / now.calls, 1),
            "blocks_per_call": round(_blocks(now) / now.calls),
            "temp_blocks_per_call": round(now.temp_blocks / now.calls),
            "plan_cost_now": round(cost) if cost is not None else None,
        },
        weight=item.share / 2,
    )


_REMEDIES = {
    "slow-query": "Look at its plan; where another finding names its cause, act on that one.",
    "query-slower": "See what changed since the baseline; the cause is often an index, statistics or growth.",
    "query-was-slow": "Nothing: its plan is cheap now. Reset pg_stat_statements to forget the slow time.",
    "query-waits": "It waits rather than works: look at locks, commits and the load of the machine.",
    "sort-spill": "Give it an index in the order it wants, or a larger work_mem for its role; not for everybody.",
}


def _judged(item: Costly, cost: float | None) -> tuple[str, Severity, str]:
    """What a slow statement suffers from, as far as its counters and its present plan say."""
    now = item.now
    fresh = item.recent is not None and item.recent.calls >= ENOUGH_CALLS
    if not fresh and cost is not None and cost < CHEAP_COST:
        return "query-was-slow", Severity.INFO, "it was slow, and its plan is cheap now"
    if not fresh and item.since is not None and not item.since.calls:
        return "slow-query", Severity.INFO, "it was slow, and has not run since the last snapshot"
    blocks = _blocks(now) / now.calls
    if not item.sampled and blocks < FEW_BLOCKS and not now.temp_blocks and now.mean_ms > IDLE_MS_PER_BLOCK * blocks:
        return "query-waits", Severity.INFO, f"it touches {blocks:.0f} blocks, so it waits rather than works"
    if _became_slower(item):
        assert item.before is not None
        return "query-slower", Severity.WARNING, f"it took {item.before.mean_ms:.0f} ms when it was well"
    if now.temp_blocks:
        return "sort-spill", Severity.INFO, f"it spills {now.temp_blocks / now.calls:.0f} blocks to disk at a time"
    return "slow-query", Severity.INFO, f"it reads {blocks:.0f} blocks a call"


def _became_slower(item: Costly) -> bool:
    between = item.so_far.since(item.before)
    return item.before is not None and item.before.calls > 0 and between.mean_ms >= SLOWER * item.before.mean_ms


def _blocks(counters: Counters) -> int:
    return counters.blocks_hit + counters.blocks_read


def _table(items: Sequence[Costly]) -> Table:
    columns = (
        "share",
        "total s",
        "mean ms",
        "mean ms now",
        "spread ms",
        "calls",
        "rows/call",
        "read/call",
        "hit/call",
        "temp/call",
        "statement",
    )
    return Table.of(columns, [_row(item) for item in items])


def _row(item: Costly) -> tuple[Any, ...]:
    c = item.so_far
    calls = max(1, c.calls)
    return (
        f"{item.share:.1%}",
        round(c.total_ms / 1000, 2),
        round(c.mean_ms, 2),
        round(item.now.mean_ms, 2),
        round(c.spread_ms, 2),
        c.calls,
        round(c.rows / calls, 1),
        round(c.blocks_read / calls, 1),
        round(c.blocks_hit / calls, 1),
        round(c.temp_blocks / calls, 1),
        item.short[:120],
    )
