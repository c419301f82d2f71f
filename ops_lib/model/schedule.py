"""Schedules: which runbook is due when, and what becomes of due times that nobody was there for.

Every due time of a schedule ends as one run or in one missed entry of the ledger, and never as both.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from ops_lib.model.cron import Cron, parse_cron
from ops_lib.model.errors import BadInput
from ops_lib.model.runbook import Runbook
from ops_lib.model.target import Hazard
from ops_lib.model.times import format_instant, parse_instant

PUNCTUAL: Final = timedelta(minutes=10)
"""A run that begins this much after its due time still counts as on time."""

FRONT_MATTER: Final = "front matter"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_EXAMPLE: Final = 'write it as NAME: {runbook: OPS-SNAPSHOT, when: "0 * * * * UTC", missed: last}'


class Missed(StrEnum):
    """What is caught up of due times that passed: nothing, the newest, or every one."""

    SKIP = "skip"
    LAST = "last"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One runbook that is due at times. `known_from` is where it is written; target None is the default one."""

    name: str
    runbook: str
    when: Cron
    missed: Missed
    known_from: str
    target: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "schedule": self.name, "runbook": self.runbook, "when": str(self.when), "missed": self.missed.value,
            "target": self.target, "parameters": dict(self.parameters), "known_from": self.known_from,
        }  # fmt: skip

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Schedule":
        return cls(
            name=said["schedule"], runbook=said["runbook"], when=parse_cron(said["when"]),
            missed=Missed(said["missed"]), target=said["target"], parameters=said["parameters"],
            known_from=said["known_from"],
        )  # fmt: skip


def caught_up(hazard: Hazard | None) -> Missed:
    """The policy where none is written: what only reads may be late, what changes something was meant for its time.

    >>> caught_up(Hazard.READ_ONLY).value, caught_up(Hazard.CHANGES).value
    ('last', 'skip')
    """
    return Missed.LAST if hazard is Hazard.READ_ONLY else Missed.SKIP


def own_schedule(runbook: Runbook) -> Schedule | None:
    """The schedule in a runbook's front matter; its name is the runbook's id."""
    if runbook.schedule is None:
        return None
    when = parse_cron(runbook.schedule)
    missed = caught_up(runbook.hazard)
    return Schedule(name=runbook.id, runbook=runbook.id, when=when, missed=missed, known_from=FRONT_MATTER)


def schedule_from(name: str, described: object, *, known_from: str, hazards: Mapping[str, Hazard]) -> Schedule:
    """The schedule that an entry of schedules.yaml describes; BadInput names what is wrong.

    `hazards` are those of the runbooks that there are, by id; a runbook that is missing is found out when it is due.
    """
    where = f"{known_from}: schedule {name}"
    if not _NAME.fullmatch(name):
        raise BadInput(f"{where}: no name for a schedule", hint="use small letters, digits, dash, underscore")
    if not isinstance(described, Mapping):
        raise BadInput(f"{where} is not a mapping", hint=_EXAMPLE)
    _check_keys(where, described)
    runbook = described["runbook"].upper()
    written = described.get("missed")
    return Schedule(
        name=name,
        runbook=runbook,
        when=_when(where, described["when"]),
        missed=Missed(written) if written else caught_up(hazards.get(runbook)),
        known_from=known_from,
        target=described.get("target"),
        parameters=described.get("parameters") or {},
    )


def _check_keys(where: str, described: Mapping[Any, Any]) -> None:
    unknown = sorted(set(map(str, described)) - _KEYS.keys())
    missing = [key for key in ("runbook", "when") if key not in described]
    if unknown or missing:
        fault = f"has the unknown key {unknown[0]}" if unknown else f"lacks {missing[0]}"
        raise BadInput(f"{where} {fault}", hint=f"known are {', '.join(_KEYS)}; {_EXAMPLE}")
    for key, value in described.items():
        fits, form = _KEYS[key]
        if not fits(value):
            raise BadInput(f"{where}: {key} is {value!r}", hint=f"expected {form}")


def _when(where: str, text: str) -> Cron:
    try:
        return parse_cron(text)
    except ValueError as error:
        hint = 'write five fields and a time zone, such as "0 6 * * 1 Europe/London"'
        raise BadInput(f"{where}: when is {text!r}: {error}", hint=hint) from None


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _target(value: object) -> bool:
    """A name: what connects somewhere may hold a password, and a schedule goes into the ledger."""
    return _text(value) and not {"=", ":"} & set(str(value))


def _plain(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _parameters(value: object) -> bool:
    return value is None or (isinstance(value, Mapping) and all(map(_text, value)) and all(map(_plain, value.values())))


_KEYS: Final = {
    "runbook": (_text, "the id of a runbook"),
    "when": (_text, "a cron expression with a time zone, in quotes"),
    "missed": (lambda value: value in [*Missed], "skip, last or all"),
    "target": (_target, "the name of a target in targets.yaml"),
    "parameters": (_parameters, "names with numbers and texts; write dates in quotes"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Due times that were not run: all from `first` to `last`, `count` of them, and why."""

    first: datetime
    last: datetime
    count: int
    why: str

    def to_json(self) -> dict[str, Any]:
        first, last = format_instant(self.first), format_instant(self.last)
        return {"first": first, "last": last, "count": self.count, "why": self.why}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Gap":
        first, last = parse_instant(said["first"]), parse_instant(said["last"])
        return cls(first=first, last=last, count=said["count"], why=said["why"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done about a schedule now: first the gap is written down, then what is due is run."""

    gap: Gap | None = None
    due: datetime | None = None


def decide(schedule: Schedule, settled_until: datetime, now: datetime) -> Decision:
    """What the policy makes of the due times after the last one that was settled.

    >>> hourly = Schedule(name="n", runbook="R", when=parse_cron("0 * * * * UTC"), missed=Missed.LAST, known_from="")
    >>> from datetime import UTC
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> found = decide(hourly, at, at + timedelta(hours=3))
    >>> found.due.hour, found.gap.count
    (3, 2)
    """
    times = schedule.when.between(settled_until, now)
    if schedule.missed is Missed.ALL:
        return Decision(due=next(times, None))
    late = "it was too late for it, and the policy is skip"
    older = "a later time was due as well, and the policy is last" if schedule.missed is Missed.LAST else late
    *passed, newest = [None, *times]
    if newest is None:
        return Decision()
    if schedule.missed is Missed.SKIP and now - newest > PUNCTUAL:
        return Decision(gap=gap_of([*passed[1:], newest], late))
    return Decision(gap=gap_of(passed[1:], older), due=newest)


def abandoned(schedule: Schedule, settled_until: datetime, now: datetime, why: str) -> Gap | None:
    """The due times of a schedule that is not what it was, or is no more."""
    return gap_of([*schedule.when.between(settled_until, now)], why)


def gap_of(times: list[Any], why: str) -> Gap | None:
    """Times that follow each other as one gap; nothing where there is none."""
    return Gap(first=times[0], last=times[-1], count=len(times), why=why) if times else None
