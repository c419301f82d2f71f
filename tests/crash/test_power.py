"""The power is cut: what the device holds at that moment is mounted elsewhere, and the archive held to its promises."""

import random
from itertools import cycle, islice
from typing import Any

import pytest

from tests.crash.pool import Pool
from tests.crash.test_faults import judged
from tests.figures import WHOLE, Figures

MODES = ("ordered", "writeback")
CUTS = 120 if WHOLE else 3


@pytest.mark.parametrize("mode", MODES)
def test_a_power_cut_loses_nothing_that_was_promised(
    power: Pool, figures: Figures, chance: random.Random, mode: str
) -> None:
    """At random moments, each before some system call, on ext4 that writes nothing back on its own."""
    points: list[dict[str, Any]] = power.ask("power_points", mode=mode)
    chance.shuffle(points)
    cuts = [{"kind": "power_cut", "point": point, "mode": mode} for point in islice(cycle(points), CUTS)]
    wrong = judged(power.ask_all(cuts))
    figures.add("power cuts", mode=mode, points=len(cuts), wrong=len(wrong))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("mode", MODES)
def test_a_writer_without_discipline_is_caught(power: Pool, mode: str) -> None:
    """The test can fail: where nothing is synced, what was promised is gone after the cut."""
    points: list[dict[str, Any]] = power.ask("power_points", mode=mode, bug="nothing-is-synced")
    last = [point for point in points if point["operation"] == "seal"][-1]
    verdict = power.ask("power_cut", point=last, mode=mode, bug="nothing-is-synced")
    assert any("lost" in sentence or "verify" in sentence for sentence in verdict["wrong"]), verdict
