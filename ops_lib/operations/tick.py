"""A tick: whatever is due by now is run, once, whoever else ticks on the same archive.

    declare    a schedule that is new or changed goes into the ledger; its due times count from then on
    decide     the policy says what of the due times since the last settled one is run, and what is missed
    settle     a missed entry, or the intent of the run, is added to the ledger if nobody was faster: the claim

A claim and the beginning of its run are one entry of the ledger. A ticker that is killed before it leaves the due time
to the next tick; one that is killed after it leaves a run, which the next command seals as interrupted.
"""

import random
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ops_lib.archive import locks
from ops_lib.archive.timetable import Timetable
from ops_lib.model.errors import (
    ArchiveUnwritable,
    BadInput,
    DoesNotVerify,
    OpsError,
    Overtaken,
    Refused,
    WaitsForApproval,
)
from ops_lib.model.run import Cause, Outcome, Request
from ops_lib.model.schedule import Gap, Schedule, abandoned, decide
from ops_lib.model.times import format_instant
from ops_lib.model.timetable import SCHEDULE, Standing
from ops_lib.operations.desk import Desk, Listener, nobody
from ops_lib.operations.run import Sealed, run
from ops_lib.operations.schedule import Filed, schedules_of

AT_ONCE = 4
"""So many ticks work on one archive at once; what is due beyond that waits for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of due times: a run of one, a gap of several, or an error that leaves one for the next tick."""

    schedule: Schedule
    due: datetime | None = None
    sealed: Sealed | None = None
    gap: Gap | None = None
    error: OpsError | None = None

    @property
    def well(self) -> bool:
        """Whether nobody needs to look: a run that succeeded, or times that were left out by the policy."""
        ran_well = self.sealed is None or self.sealed.record["outcome"] == Outcome.SUCCEEDED
        return ran_well and self.error is None

    def to_json(self) -> dict[str, Any]:
        record: Mapping[str, Any] = self.sealed.record if self.sealed else {}
        return {
            "schedule": self.schedule.name,
            "runbook": self.schedule.runbook,
            "scheduled_for": format_instant(self.due) if self.due else None,
            "run_id": record.get("run_id"),
            "outcome": record.get("outcome"),
            "missed": self.gap.to_json() if self.gap else None,
            "error": str(self.error) if self.error else None,
        }


def tick(desk: Desk, filed: Filed, listener: Listener = nobody) -> Iterator[Settled]:
    """Settle everything that is due, and what becomes due meanwhile; ends early where a run was interrupted."""
    with _place(desk):
        ticker = _Ticker(desk, filed, listener)
        try:
            yield from ticker.declare()
            yield from ticker.settle()
        finally:
            ticker.timetable.keep()


@contextmanager
def _place(desk: Desk) -> Iterator[None]:
    """One of the places for ticks; Overtaken where all are taken, and so what is due is being run."""
    with ExitStack() as held:
        for number in range(AT_ONCE):
            with suppress(Refused):
                held.enter_context(locks.hold(desk.archive, f"tick {number}", _holder(desk, "tick")))
                yield
                return
        raise Overtaken(f"{AT_ONCE} ticks are at work in this archive", hint="they run what is due")


def _holder(desk: Desk, name: str) -> dict[str, str]:
    return {"run_id": name, "runbook": SCHEDULE, "who": desk.who, "since": format_instant(desk.clock())}


class _Ticker:
    def __init__(self, desk: Desk, filed: Filed, listener: Listener) -> None:
        self.timetable = Timetable(desk.archive, desk.keys)
        self._desk = desk
        self._listener = listener
        self._schedules = schedules_of(desk, filed, self.timetable.read())
        self._aside: set[str] = set()
        self._chance = random.Random(desk.randomness(8))  # noqa: S311 - two tickers should not want the same thing

    def declare(self) -> Iterator[Settled]:
        """Bring the ledger up to what is written down."""
        before = self.timetable.read()
        for name in sorted({*before, *self._schedules}):
            wanted, standing = self._schedules.get(name), before.get(name)
            if wanted == (standing.schedule if standing else None):
                continue
            try:
                yield from self._replace(standing, wanted)
            except Overtaken:
                self._aside.add(name)

    def _replace(self, standing: Standing | None, wanted: Schedule | None) -> Iterator[Settled]:
        now = self._desk.clock()
        stamp: dict[str, Any] = {"at": now, "who": self._desk.who}
        if standing:
            why = "the schedule was changed" if wanted else "the schedule was taken away"
            gap = abandoned(standing.schedule, standing.settled_until, now, why)
            if gap:
                standing = self.timetable.miss(standing, gap, **stamp)
                yield Settled(schedule=standing.schedule, gap=gap)
        if wanted:
            self.timetable.declare(wanted, standing.seq if standing else None, **stamp)
        elif standing:
            self.timetable.withdraw(standing, **stamp)

    def settle(self) -> Iterator[Settled]:
        """One due time of each schedule at a time, the oldest first, until nothing is due that is not set aside."""
        while due := self._due():
            for name in due:
                try:
                    for settled in self._settle(name):
                        yield settled
                        if settled.sealed and settled.sealed.record["outcome"] == Outcome.INTERRUPTED:
                            return
                except Overtaken:
                    continue
                except Refused:  # another ticker is at this schedule, and goes on with it
                    self._aside.add(name)

    def _due(self) -> list[str]:
        """The schedules of which something is due, those that wait longest first."""
        now, waiting = self._desk.clock(), []
        for name, standing in self.timetable.read().items():
            due = next(standing.schedule.when.between(standing.settled_until, now), None)
            if due and name not in self._aside and self._is_mine(standing):
                waiting.append((due, self._chance.random(), name))
        return [name for _, _, name in sorted(waiting)]

    def _is_mine(self, standing: Standing) -> bool:
        """Whether a schedule is what this ticker read; one that was changed since is for the ticker that knows it."""
        return self._schedules.get(standing.schedule.name) == standing.schedule

    def _settle(self, name: str) -> Iterator[Settled]:
        """Refused where another ticker is at this schedule: its runs do not overlap."""
        with locks.hold(self._desk.archive, f"schedule {name}", _holder(self._desk, name)):
            standing = self.timetable.read().get(name)
            if standing is None or not self._is_mine(standing):
                return
            now = self._desk.clock()
            decision = decide(standing.schedule, standing.settled_until, now)
            if decision.gap:
                standing = self.timetable.miss(standing, decision.gap, at=now, who=self._desk.who)
                yield Settled(schedule=standing.schedule, gap=decision.gap)
            if decision.due:
                yield self._run(standing, decision.due)

    def _run(self, standing: Standing, due: datetime) -> Settled:
        """A run that cannot be asked for was missed, and that is an error; what else went wrong leaves it due."""
        schedule = standing.schedule
        gate = self.timetable.gate(schedule.name, standing.seq)
        try:
            sealed = run(self._desk, _request(schedule, due), self._listener, gate=gate)
        except (ArchiveUnwritable, DoesNotVerify, Overtaken):
            raise
        except BadInput as error:
            gap = Gap(first=due, last=due, count=1, why=f"it could not be asked for: {error}")
            self.timetable.miss(standing, gap, at=self._desk.clock(), who=self._desk.who)
            return Settled(schedule=schedule, due=due, gap=gap, error=error)
        except WaitsForApproval as error:  # its due time is claimed by its intent, and a person is asked
            return Settled(schedule=schedule, due=due, error=error)
        except OpsError as error:
            self._aside.add(schedule.name)
            return Settled(schedule=schedule, due=due, error=error)
        return Settled(schedule=schedule, due=due, sealed=sealed)


def _request(schedule: Schedule, due: datetime) -> Request:
    return Request(
        runbook=schedule.runbook,
        cause=Cause(kind=SCHEDULE, who=schedule.name, how_known=schedule.known_from),
        target=schedule.target,
        parameters=schedule.parameters,
        scheduled_for=due,
    )
