"""Schedules: what is read from an entry, and what each policy makes of due times that passed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops_lib.model.cron import parse_cron
from ops_lib.model.errors import BadInput
from ops_lib.model.schedule import Missed, Schedule, decide, schedule_from
from ops_lib.model.target import Hazard

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
HOURLY = Schedule(
    name="nightly", runbook="SOP-004", when=parse_cron("0 * * * * UTC"), missed=Missed.SKIP, known_from="test"
)


def hour(number: float) -> datetime:
    """A time of the day."""
    return MIDNIGHT + timedelta(hours=number)


def test_nothing_is_due_between_two_times() -> None:
    """Neither a run nor a gap."""
    found = decide(HOURLY, hour(3), hour(3.9))
    assert (found.due, found.gap) == (None, None)


@pytest.mark.parametrize("missed", Missed)
def test_a_due_time_that_is_on_time_is_run(missed: Missed) -> None:
    """Whatever the policy."""
    found = decide(replace(HOURLY, missed=missed), hour(3), hour(4))
    assert (found.due, found.gap) == (hour(4), None)


def test_skip_misses_what_is_late_and_runs_what_is_not() -> None:
    """Three passed; the newest one is a minute old."""
    found = decide(HOURLY, hour(3), hour(6) + timedelta(minutes=1))
    assert found.due == hour(6)
    assert found.gap
    assert (found.gap.first, found.gap.last, found.gap.count) == (hour(4), hour(5), 2)


def test_skip_misses_everything_that_is_late() -> None:
    """The newest one is half an hour old."""
    found = decide(HOURLY, hour(3), hour(6.5))
    assert found.due is None
    assert found.gap
    assert found.gap.count == 3


def test_last_runs_the_newest_however_late_it_is() -> None:
    """The others are missed."""
    found = decide(replace(HOURLY, missed=Missed.LAST), hour(3), hour(6.9))
    assert found.due == hour(6)
    assert found.gap
    assert found.gap.last == hour(5)


def test_all_runs_one_after_the_other() -> None:
    """The oldest first; none is missed."""
    found = decide(replace(HOURLY, missed=Missed.ALL), hour(3), hour(6.9))
    assert (found.due, found.gap) == (hour(4), None)


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from(Missed),
    st.sampled_from(["*/7 * * * * UTC", "30 1 * * * Europe/London", "0 */2 * * * Europe/London"]),
    st.lists(st.integers(min_value=1, max_value=1000), min_size=1, max_size=8),
)
def test_every_due_time_is_settled_once(missed: Missed, when: str, minutes: list[int]) -> None:
    """Whenever somebody ticks, across a change of the clock, each time is run or in one gap."""
    schedule = replace(HOURLY, when=parse_cron(when), missed=missed)
    begin = now = settled = datetime(2026, 3, 27, tzinfo=UTC)
    found: list[datetime] = []
    for pause in minutes:
        now += timedelta(minutes=pause)
        while (decision := decide(schedule, settled, now)).due or decision.gap:
            if decision.gap:
                found += schedule.when.between(settled, decision.gap.last)
                settled = decision.gap.last
            if decision.due:
                found.append(decision.due)
                settled = decision.due
    assert found == [*schedule.when.between(begin, now)]


GOOD = {"runbook": "sop-004", "when": "0 6 * * * UTC", "parameters": {"days": 7}, "target": "platform"}


def read(**changed: object) -> Schedule:
    """An entry of schedules.yaml, with something changed in it."""
    entry = {key: value for key, value in {**GOOD, **changed}.items() if value is not None}
    return schedule_from("nightly", entry, known_from="schedules.yaml", hazards={"SOP-004": Hazard.READ_ONLY})


def test_an_entry_is_read() -> None:
    """What only reads catches up with the last time, unless the entry says otherwise."""
    schedule = read()
    assert (schedule.runbook, schedule.target, schedule.parameters) == ("SOP-004", "platform", {"days": 7})
    assert schedule.missed is Missed.LAST
    assert read(missed="all").missed is Missed.ALL
    assert read(runbook="SOP-001").missed is Missed.SKIP
    assert Schedule.from_json(schedule.to_json()) == schedule


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"runbook": None}, "lacks runbook"),
        ({"when": "hourly"}, "five fields and a time zone"),
        ({"missed": "some"}, "skip, last or all"),
        ({"cron": "x"}, "unknown key cron"),
        ({"target": "host=db password=x"}, "the name of a target"),
        ({"parameters": {"since": MIDNIGHT}}, "write dates in quotes"),
    ],
)
def test_what_is_wrong_in_an_entry_is_named(changed: dict[str, object], complaint: str) -> None:
    """With the schedule's name and the form that is expected."""
    with pytest.raises(BadInput, match="nightly") as caught:
        read(**changed)
    assert complaint in str(caught.value)
