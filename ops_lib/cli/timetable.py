"""How schedules are shown."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ops_lib.cli import render
from ops_lib.model.schedule import Gap

if TYPE_CHECKING:
    from ops_lib.operations.schedule import Listed
    from ops_lib.operations.tick import Settled


def settled(one: "Settled") -> None:
    """One line of what a tick did; what somebody should look at goes to standard error, which cron mails."""
    name = one.schedule.name
    if one.gap:
        sentence = f"{name}: missed {_times(one.gap)}: {one.gap.why}"
    elif one.error:
        sentence = f"{name}: not run for {_minute(one.due)}: {one.error}"
    else:
        record = one.sealed.record if one.sealed else {}
        sentence = f"{name}: {record['runbook']['id']} for {_minute(one.due)} {record['outcome']}, {record['run_id']}"
        error = record["error"]
        sentence += f": {error['message']}" if error else ""
    if one.well:
        render.text(sentence)
    else:
        render.complaint(sentence)


def schedules(found: Sequence["Listed"], *, as_json: bool) -> None:
    """What is due next, and what ran last."""
    if as_json:
        render.document([one.to_json() for one in found])
        return
    if not found:
        render.text("nothing is scheduled: see infrastructure/schedules.yaml, which `runbook init` makes")
        return
    columns = (
        "schedule",
        "runbook",
        "when",
        "target",
        "next (UTC)",
        "last due (UTC)",
        "outcome",
        "run",
        "missed since",
    )
    gaps = [one.standing.gap if one.standing else None for one in found]
    below = [f"missed {_times(gap)}: {gap.why}" if gap else "" for gap in gaps]
    render.table(columns, [_row(one) for one in found], below=below)
    if any(one.standing is None for one in found):
        render.text("those without a last time are new or changed: they are in force from the next `runbook tick` on")


def _row(one: "Listed") -> tuple[str, ...]:
    schedule, standing = one.schedule, one.standing
    last = (standing.last_due, standing.last_run, str(standing.missed)) if standing else (None, None, "-")
    return (
        schedule.name, schedule.runbook, str(schedule.when), schedule.target or "-", _minute(one.next_due),
        _minute(last[0]), one.outcome or "-", last[1] or "-", last[2],
    )  # fmt: skip


def _times(gap: Gap) -> str:
    return _minute(gap.first) if gap.count == 1 else f"{gap.count} times, {_minute(gap.first)} to {_minute(gap.last)}"


def _minute(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M") if at else "-"
