"""The timetable as the ledger tells it: which schedules are in force, and up to when each is settled.

    scheduled     a schedule is in force from now on, new or changed; due times count from here
    unscheduled   it is no more
    missed        due times from `first` to `last` were not run
    intent        with `scheduled_for`: this run is the one of that due time

Each of the last two settles every due time up to the one that it names, so one instant a schedule says it all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from ops_lib.model.ledger import Entry, EntryKind
from ops_lib.model.schedule import Gap, Schedule
from ops_lib.model.times import format_instant, parse_instant

SCHEDULE: Final = "schedule"
"""The kind of cause of a run that a schedule started; who caused it is the schedule's name."""

_MARKS: Final = tuple(
    f'"kind":"{kind}"'.encode() for kind in (EntryKind.SCHEDULED, EntryKind.UNSCHEDULED, EntryKind.MISSED)
)


def concerns(line: bytes) -> bool:
    """Whether a line of the ledger may have to do with schedules; cheap, and at times too careful."""
    return b'"scheduled_for":"' in line or any(mark in line for mark in _MARKS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a schedule stands. `seq` is the ledger's newest entry about it: whoever settles on its ground names it.

    `missed` are the due times since the last run that were not run, and `gap` the newest of these.
    """

    schedule: Schedule
    settled_until: datetime
    seq: int
    last_due: datetime | None = None
    last_run: str | None = None
    missed: int = 0
    gap: Gap | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            **self.schedule.to_json(), "settled_until": format_instant(self.settled_until), "seq": self.seq,
            "last_due": format_instant(self.last_due) if self.last_due else None, "last_run": self.last_run,
            "count": self.missed, "gap": self.gap.to_json() if self.gap else None,
        }  # fmt: skip

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Standing":
        return cls(
            schedule=Schedule.from_json(said), settled_until=parse_instant(said["settled_until"]), seq=said["seq"],
            last_due=parse_instant(said["last_due"]) if said["last_due"] else None, last_run=said["last_run"],
            missed=said["count"], gap=Gap.from_json(said["gap"]) if said["gap"] else None,
        )  # fmt: skip


def told(standings: Mapping[str, Standing], entry: Entry) -> Mapping[str, Standing]:
    """The standings once an entry is taken into account."""
    body = entry.body
    if entry.kind == EntryKind.SCHEDULED:
        fresh = Standing(schedule=Schedule.from_json(body), settled_until=parse_instant(entry.at), seq=entry.seq)
        return {**standings, body["schedule"]: fresh}
    if entry.kind == EntryKind.UNSCHEDULED:
        return {name: standing for name, standing in standings.items() if name != body["schedule"]}
    name = body["schedule"] if entry.kind == EntryKind.MISSED else _scheduled_by(entry)
    if name not in standings:
        return standings
    return {**standings, name: _settled(standings[name], entry)}


def _scheduled_by(entry: Entry) -> str:
    cause = entry.body.get("cause") or {}
    of_schedule = entry.kind == EntryKind.INTENT and cause.get("kind") == SCHEDULE and entry.body.get("scheduled_for")
    return str(cause["who"]) if of_schedule else ""


def _settled(before: Standing, entry: Entry) -> Standing:
    if entry.kind == EntryKind.MISSED:
        gap = Gap.from_json(entry.body)
        return replace(before, settled_until=gap.last, seq=entry.seq, missed=before.missed + gap.count, gap=gap)
    due = parse_instant(entry.body["scheduled_for"])
    return replace(before, settled_until=due, seq=entry.seq, last_due=due, last_run=entry.run_id, missed=0, gap=None)


def missed_body(schedule: Schedule, gap: Gap) -> dict[str, Any]:
    """What a missed entry says."""
    return {**schedule.to_json(), **gap.to_json()}
