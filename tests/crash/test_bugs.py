"""The suite is tested itself: every bug that is planted on purpose must be caught by it."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.crash.bugs import BUGS, Bug
from tests.crash.pool import Pool
from tests.figures import SEED, WHOLE, Figures


def trials(pool: Pool, chance: random.Random, name: str, bug: Bug) -> Iterator[dict[str, Any]]:
    """Trials of the kind that should notice a bug, in random order."""
    if bug.trial in ("story", "torn", "together"):
        yield from ({"kind": bug.trial, "bug": name} for _ in range(10))
        return
    power = bug.trial == "power"
    points = pool.ask("power_points", mode="writeback", bug=name) if power else pool.ask("points", bug=name)
    points = [point for point in points if point["call"] in bug.calls and point["operation"] in bug.operations]
    chance.shuffle(points)
    for point in points:
        if power:
            yield {"kind": "power_cut", "point": point, "mode": "writeback", "bug": name}
        else:
            yield {"kind": "fault", "point": point, "fault": bug.trial, "bug": name}


@pytest.mark.parametrize("name", BUGS if WHOLE else random.Random(SEED).sample([*BUGS], 4))
def test_a_planted_bug_is_caught(
    request: pytest.FixtureRequest, pool: Pool, figures: Figures, chance: random.Random, name: str
) -> None:
    """The archive of the careless writer is found broken, by the kind of trial that should find it."""
    bug = BUGS[name]
    if bug.trial == "power":
        request.getfixturevalue("power")
    tried = 0
    for tried, trial in enumerate(trials(pool, chance, name, bug), 1):
        verdict = pool.ask(**trial)
        if verdict["wrong"]:
            said = verdict["wrong"][0].splitlines()[0]
            figures.add("planted bugs", bug=bug.what, part=bug.part, trials=tried, noticed=said)
            return
    pytest.fail(f"{name} was not caught in {tried} trials")


@pytest.mark.parametrize("kind", ["story", "torn", "together"])
def test_without_a_bug_there_is_nothing_to_catch(pool: Pool, kind: str) -> None:
    """The trials that inject no fault find nothing wrong with the careful code."""
    assert pool.ask(kind) == {"met": True, "wrong": []}
