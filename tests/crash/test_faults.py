"""Every system call that touches the archive or its keys, each killed at, failing with EIO, and failing with ENOSPC."""

import random
from collections import Counter
from typing import Any

import pytest

from tests.crash.inject import CHANGING, EIO, FAULTS, KILL
from tests.crash.pool import Pool
from tests.figures import WHOLE, Figures

SAMPLE = 8
RECOVERED_FROM, RECOVERY_SAMPLE = (8, 400) if WHOLE else (2, 4)
STAYS_FULL_SAMPLE = 4


def drawn(chance: random.Random, items: list[Any], sample: int) -> list[Any]:
    """All of them in a whole run, else a random sample."""
    return items if WHOLE else chance.sample(items, min(sample, len(items)))


def judged(answers: list[tuple[dict[str, Any], Any]]) -> list[str]:
    """What was wrong, with the trial that shows it; every fault must have been met."""
    return [
        f"{trial}: {'; '.join(verdict['wrong']) or 'the fault was not met'}"
        for trial, verdict in answers
        if verdict["wrong"] or not verdict["met"]
    ]


@pytest.mark.parametrize("first", [False, True], ids=["an archive", "no archive yet"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_call_loses_nothing(
    pool: Pool, figures: Figures, chance: random.Random, fault: str, first: bool
) -> None:
    """The archive is recovered, verifies, holds all that it promised, and an error names the path."""
    points = drawn(chance, worth_trying(pool.ask("points", first=first), fault, first), SAMPLE)
    answers = pool.ask_all({"kind": "fault", "point": point, "fault": fault, "first": first} for point in points)
    wrong = judged(answers)
    for operation, count in Counter(point["operation"] for point in points).items():
        named = f"the first {operation}" if first else operation
        figures.add("one fault", operation=named, fault=fault, points=count, wrong=_of(wrong, operation))
    assert not wrong, "\n".join(wrong)


def worth_trying(points: list[dict[str, Any]], fault: str, first: bool) -> list[dict[str, Any]]:
    """The calls at which a fault makes a difference.

    A kill at a call that only reads leaves what a kill at the next changing one leaves; no read runs out of space; and
    a close that fails lets go of its descriptor all the same, which strace cannot imitate.
    """
    if fault == EIO and not first:
        return [point for point in points if point["call"] != "close"]
    return [point for point in points if point["call"] in CHANGING]


def _of(wrong: list[str], operation: str) -> int:
    return sum(f"'operation': '{operation}'" in sentence for sentence in wrong)


def test_a_disk_that_stays_full_loses_nothing(pool: Pool, figures: Figures, chance: random.Random) -> None:
    """From some call on every further one of its kind fails, as on a full disk."""
    points = [point for point in pool.ask("points") if point["call"] in CHANGING]
    points = drawn(chance, points, STAYS_FULL_SAMPLE)
    answers = pool.ask_all({"kind": "fault", "point": point, "fault": "ENOSPC", "onwards": True} for point in points)
    wrong = judged(answers)
    figures.add("a disk that stays full", points=len(points), wrong=len(wrong))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_recovery_that_fails_recovers_on_the_next_try(
    pool: Pool, figures: Figures, chance: random.Random, fault: str
) -> None:
    """A run is killed at several places, and the recovery from each at every call."""
    killed = chance.sample(worth_trying(pool.ask("points"), KILL, False), RECOVERED_FROM)
    trials = [
        {"kind": "recovery_fault", "point": point, "second": second, "fault": fault}
        for point in killed
        for second in worth_trying(pool.ask("recovery_points", point=point), fault, False)
    ]
    if fault != KILL or not WHOLE:
        trials = chance.sample(trials, min(len(trials), RECOVERY_SAMPLE))
    wrong = judged(pool.ask_all(trials))
    figures.add("recovery", fault=fault, kills=len(killed), points=len(trials), wrong=len(wrong))
    assert not wrong, "\n".join(wrong)
