"""Ticks: what is due is run once, what is missed is written down, and one bad schedule does not stop the others."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ops_lib.archive.ledger import Ledger
from ops_lib.archive.staging import Staging
from ops_lib.archive.timetable import Timetable
from ops_lib.archive.verification import verify_archive
from ops_lib.cli import timetable
from ops_lib.model.errors import Overtaken
from ops_lib.model.ledger import Entry, EntryKind
from ops_lib.model.run import Request
from ops_lib.model.schedule import Gap
from ops_lib.operations import run as run_module
from ops_lib.operations.desk import Desk
from ops_lib.operations.recover import recover
from ops_lib.operations.schedule import Filed, listed
from ops_lib.operations.tick import AT_ONCE, Settled, tick

WriteRunbook = Callable[..., Request]
HOURLY = {"runbook": "TST-001", "when": "0 * * * * UTC", "missed": "last"}


class Clock:
    """A clock that stands still until somebody sets it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, hours: float) -> None:
        self.now += timedelta(hours=hours)


@pytest.fixture
def clock() -> Clock:
    """Half past midnight."""
    return Clock()


@pytest.fixture
def timed(desk: Desk, clock: Clock) -> Desk:
    """The desk with that clock."""
    return replace(desk, clock=clock)


@pytest.fixture
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs whose cells are taken for executed: what is tested here is when they begin."""
    monkeypatch.setattr(run_module, "execute", lambda notebook, kernel, observer: None)


def filed(**entries: Mapping[str, Any]) -> Filed:
    """What schedules.yaml holds."""
    return Filed(file=Path("infrastructure/schedules.yaml"), entries=entries)


def ticked(desk: Desk, **entries: Mapping[str, Any]) -> list[Settled]:
    """What one tick does."""
    return list(tick(desk, filed(**entries)))


def entries_of(desk: Desk, kind: EntryKind) -> list[Entry]:
    """The ledger's entries of a kind."""
    return [entry for entry in Ledger(desk.archive).entries() if entry.kind == kind]


def test_what_is_due_is_run_with_its_due_time(timed: Desk, clock: Clock, write_runbook: WriteRunbook) -> None:
    """In a real kernel; the record says which schedule and which time, beside when it began."""
    write_runbook("print(days)", declares="days: int = 1  # how many")
    entry = {**HOURLY, "parameters": {"days": 3}}
    assert ticked(timed, nightly=entry) == [], "due times count from when a schedule was first seen"
    clock.forward(0.6)
    (settled,) = ticked(timed, nightly=entry)
    assert settled.sealed
    record = settled.sealed.record
    assert record["outcome"] == "succeeded"
    assert record["scheduled_for"] == "2026-01-01T01:00:00.000Z"
    assert record["started_at"] == "2026-01-01T01:06:00.000Z"
    assert record["parameters"] == {"days": 3}
    cause = {"kind": "schedule", "who": "nightly", "how_known": "infrastructure/schedules.yaml"}
    assert record["cause"] == cause
    assert "Scheduled for" in (settled.sealed.folder / "report.html").read_text()
    assert ticked(timed, nightly=entry) == [], "and once only"
    assert verify_archive(timed.archive).faults == ()


@pytest.mark.usefixtures("no_kernel")
def test_front_matter_schedules_too(timed: Desk, clock: Clock, write_runbook: WriteRunbook) -> None:
    """The schedule of a runbook's own front matter has the runbook's name."""
    write_runbook("1", front='schedule: "0 * * * * UTC"')
    ticked(timed)
    clock.forward(1)
    (settled,) = ticked(timed)
    assert (settled.schedule.name, settled.due) == ("TST-001", datetime(2026, 1, 1, 1, tzinfo=UTC))


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize(("missed", "runs", "gaps"), [("skip", 0, [5]), ("last", 1, [4]), ("all", 5, [])])
def test_missed_times(
    timed: Desk, clock: Clock, write_runbook: WriteRunbook, missed: str, runs: int, gaps: list[int]
) -> None:
    """Five times pass while nobody ticks: what is not caught up stands in the ledger, with the reason."""
    write_runbook("1")
    entry = {**HOURLY, "missed": missed}
    ticked(timed, nightly=entry)
    clock.forward(5.2)
    settled = ticked(timed, nightly=entry)
    assert len([one for one in settled if one.sealed]) == runs
    assert [entry.body["count"] for entry in entries_of(timed, EntryKind.MISSED)] == gaps
    assert all(f"the policy is {missed}" in entry.body["why"] for entry in entries_of(timed, EntryKind.MISSED))
    assert ticked(timed, nightly=entry) == []


@pytest.mark.usefixtures("no_kernel")
def test_one_bad_schedule_does_not_stop_the_others(timed: Desk, clock: Clock, write_runbook: WriteRunbook) -> None:
    """A runbook that is missing and a parameter that is wrong are missed, and somebody is told."""
    write_runbook("1")
    bad = {"gone": {**HOURLY, "runbook": "TST-404"}, "wrong": {**HOURLY, "parameters": {"days": 1}}}
    ticked(timed, **bad, good=HOURLY)
    clock.forward(1)
    settled = {one.schedule.name: one for one in ticked(timed, **bad, good=HOURLY)}
    assert settled["good"].well
    assert not settled["gone"].well
    assert "TST-404" in entries_of(timed, EntryKind.MISSED)[0].body["why"] + str(settled["gone"].error)
    assert not settled["wrong"].well
    assert len(entries_of(timed, EntryKind.MISSED)) == 2


def test_a_run_that_fails_is_not_well(timed: Desk, clock: Clock, write_runbook: WriteRunbook) -> None:
    """Its record is kept; the tick says so."""
    write_runbook("1 / 0")
    ticked(timed, nightly=HOURLY)
    clock.forward(1)
    (settled,) = ticked(timed, nightly=HOURLY)
    assert settled.sealed
    assert settled.sealed.record["outcome"] == "failed"
    assert not settled.well


@pytest.mark.usefixtures("no_kernel")
def test_a_schedule_that_changes_loses_no_due_time(timed: Desk, clock: Clock, write_runbook: WriteRunbook) -> None:
    """What the old one still owed is missed, with the reason; the new one counts from now on."""
    write_runbook("1")
    ticked(timed, nightly=HOURLY)
    clock.forward(2)
    changed = {**HOURLY, "when": "30 * * * * UTC"}
    (gap,) = ticked(timed, nightly=changed)
    assert gap.gap
    assert (gap.gap.count, gap.gap.why) == (2, "the schedule was changed")
    clock.forward(1)
    (settled,) = ticked(timed, nightly=changed)
    assert settled.due == datetime(2026, 1, 1, 3, 30, tzinfo=UTC)
    clock.forward(3)
    (gone,) = ticked(timed)
    assert gone.gap
    assert gone.gap.why == "the schedule was taken away"
    assert len(entries_of(timed, EntryKind.UNSCHEDULED)) == 1
    assert ticked(timed) == []


@pytest.mark.usefixtures("no_kernel")
def test_a_runbook_that_breaks_keeps_its_schedule(timed: Desk, clock: Clock, write_runbook: WriteRunbook) -> None:
    """Its due times are missed with what is wrong with the file."""
    write_runbook("1", front='schedule: "0 * * * * UTC"')
    ticked(timed)
    path = timed.runbooks[0] / "tst-001-a-test.ipynb"
    path.write_text(path.read_text().replace("timeout: 60s", "timeout: soon"))
    clock.forward(1)
    (settled,) = ticked(timed)
    assert settled.gap
    assert "timeout" in settled.gap.why


@pytest.mark.usefixtures("no_kernel")
def test_who_is_overtaken_leaves_nothing(
    timed: Desk, clock: Clock, write_runbook: WriteRunbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tickers want one due time; the slower one, past every lock, is stopped by the ledger alone."""
    write_runbook("1")
    ticked(timed, nightly=HOURLY)
    clock.forward(1)
    slow = tick(timed, filed(nightly=HOURLY))
    create, late = Staging.create, []

    def overtaken(root: Path, run_id: str) -> Staging:
        monkeypatch.setattr(Staging, "create", create)
        staging = create(root, run_id)
        other = Timetable(timed.archive, timed.keys)
        due = datetime(2026, 1, 1, 1, tzinfo=UTC)
        gap = Gap(first=due, last=due, count=1, why="another ticker said so")
        other.miss(other.read()["nightly"], gap, at=clock(), who="bob")
        late.append(run_id)
        return staging

    monkeypatch.setattr(Staging, "create", overtaken)
    assert list(slow) == []
    assert late
    assert entries_of(timed, EntryKind.INTENT) == []
    assert list((timed.archive / "staging").iterdir()) == []


@pytest.mark.usefixtures("no_kernel")
def test_a_kill_before_the_claim_leaves_the_due_time(
    timed: Desk, clock: Clock, write_runbook: WriteRunbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that had no intent never began; the next tick runs it."""
    write_runbook("1")
    ticked(timed, nightly=HOURLY)
    clock.forward(1)
    with monkeypatch.context() as dying:
        dying.setattr(run_module, "declare_intent", _die)
        with pytest.raises(KeyboardInterrupt):
            ticked(timed, nightly=HOURLY)
    assert recover(timed).sealed == ()
    (settled,) = ticked(timed, nightly=HOURLY)
    assert settled.well
    assert len(entries_of(timed, EntryKind.INTENT)) == 1
    assert verify_archive(timed.archive).faults == ()


def _die(desk: Desk, staging: Staging, gate: object) -> None:
    staging.close()
    raise KeyboardInterrupt


def test_only_so_many_ticks_at_once(timed: Desk) -> None:
    """Those that come later have nothing to do."""
    entered, leave = threading.Barrier(AT_ONCE + 1), threading.Event()

    def stay() -> None:
        from ops_lib.operations import tick as module  # noqa: PLC0415

        with module._place(timed):
            entered.wait()
            leave.wait()

    threads = [threading.Thread(target=stay) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    entered.wait()
    with pytest.raises(Overtaken, match="4 ticks are at work"):
        ticked(timed)
    leave.set()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("no_kernel")
def test_what_is_remembered_is_only_a_cache(timed: Desk, clock: Clock, write_runbook: WriteRunbook) -> None:
    """A timetable that was read on from what was remembered is the one that the whole ledger tells."""
    write_runbook("1")
    many = {f"n{number:03}": {**HOURLY, "missed": "all"} for number in range(120)}
    ticked(timed, **many)
    clock.forward(1)
    ticked(timed, **many)
    cache = timed.archive / "timetable.json"
    assert cache.exists()
    remembered = Timetable(timed.archive).read()
    cache.unlink()
    assert Timetable(timed.archive).read() == remembered
    cache.write_text(json.dumps({"position": {"end": 10, "length": 5, "digest": "x"}, "standings": []}))
    assert Timetable(timed.archive).read() == remembered


@pytest.mark.usefixtures("no_kernel")
def test_what_is_next_and_what_was_last(timed: Desk, clock: Clock, write_runbook: WriteRunbook) -> None:
    """For a person: the soonest first, with the outcome of the last run."""
    write_runbook("1")
    entries = {"nightly": HOURLY, "daily": {**HOURLY, "when": "0 6 * * * UTC"}}
    ticked(timed, **entries)
    clock.forward(1)
    ticked(timed, **entries)
    first, second = listed(timed, filed(**entries))
    assert (first.schedule.name, first.outcome) == ("nightly", "succeeded")
    assert first.next_due == datetime(2026, 1, 1, 2, tzinfo=UTC)
    assert (second.schedule.name, second.outcome) == ("daily", None)


@pytest.mark.usefixtures("no_kernel")
def test_what_was_missed_is_shown(
    timed: Desk, clock: Clock, write_runbook: WriteRunbook, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under its schedule, with the times and the reason, until the next run."""
    write_runbook("1")
    entry = {**HOURLY, "missed": "skip"}
    ticked(timed, nightly=entry)
    clock.forward(2.2)
    ticked(timed, nightly=entry)
    timetable.schedules(listed(timed, filed(nightly=entry)), as_json=False)
    shown = capsys.readouterr().out
    assert "missed 2 times, 2026-01-01 01:00 to 2026-01-01 02:00: it was too late" in shown
    clock.forward(0.4)
    ticked(timed, nightly=entry)
    timetable.schedules(listed(timed, filed(nightly=entry)), as_json=False)
    assert "too late" not in capsys.readouterr().out
