"""Plain papermill and this project, side by side, with the same notebook and the same faults."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ops_lib.archive.verification import verify_run
from tests.crash import medium, peer, tamper
from tests.crash.inject import FAULTS
from tests.crash.peer import PAPERMILL, PATIENT, RUNBOOK, Tool
from tests.crash.pool import Pool
from tests.crash.test_faults import drawn
from tests.figures import WHOLE, Figures

pytestmark = pytest.mark.skipif(not WHOLE, reason="the comparison with papermill is made by `make test-crash`")
KILLS, DEATHS, BITS = 24, 10, 1000
Trial = Callable[[Tool, Path, random.Random], Any]


def repeated(trial: Trial, tool: Tool, times: int, tmp_path: Path, chance: random.Random) -> list[Any]:
    """A trial some times, two at once, each in a folder of its own."""
    jobs = [(tmp_path / f"{tool.name}{number}", random.Random(chance.random())) for number in range(times)]
    for folder, _ in jobs:
        folder.mkdir()
    with ThreadPoolExecutor(2) as executor:
        return list(executor.map(lambda job: trial(tool, *job), jobs))


def test_a_killed_runner(tmp_path: Path, figures: Figures, chance: random.Random) -> None:
    """Killed at a random moment: how many files can no longer be read."""
    for tool in (PAPERMILL, RUNBOOK):
        left = repeated(peer.killed, tool, KILLS, tmp_path, chance)
        unreadable = sum(not item.readable for item in left)
        figures.add("peer", trial="runner killed", tool=tool.name, trials=KILLS, unreadable=unreadable)
        assert tool is PAPERMILL or unreadable == 0


@pytest.mark.parametrize(("trial", "source"), [("kernel killed", peer.DIES), ("cell times out", peer.SLEEPS)])
def test_a_run_that_ends_in_the_middle(
    tmp_path: Path, figures: Figures, chance: random.Random, trial: str, source: str
) -> None:
    """How many cells are stored as done that failed or never ran."""
    for tool in (PATIENT if source == peer.SLEEPS else PAPERMILL, RUNBOOK):
        found = repeated(lambda *job: peer.died(*job, source=source), tool, DEATHS, tmp_path, chance)
        unreadable, false = sum(not left.readable for left, _ in found), sum(untrue for _, untrue in found)
        figures.add("peer", trial=trial, tool=tool.name, trials=DEATHS, unreadable=unreadable, untrue=false)
        assert tool is not RUNBOOK or (unreadable, false) == (0, 0)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_while_papermill_saves(pool: Pool, figures: Figures, chance: random.Random, fault: str) -> None:
    """Its own writer under the same injected faults."""
    points = drawn(chance, pool.ask("peer_points"), 10)
    verdicts = [v for _, v in pool.ask_all({"kind": "peer_fault", "point": p, "fault": fault} for p in points)]
    figures.add(
        "peer", trial=f"{fault} at a call", tool="papermill", trials=len(points),
        unreadable=sum(v["unreadable"] for v in verdicts), lost=sum(v["lost"] for v in verdicts),
    )  # fmt: skip


def test_an_edit(figures: Figures, chance: random.Random) -> None:
    """One bit of a stored notebook is changed: who is told."""
    with medium.scratch_folder() as scratch:
        archive = tamper.grow(scratch, range(2))
        folder = tamper.folders(archive)[0]
        path, trust = folder / "notebook.ipynb", tamper.trust_of(archive)
        original = path.read_bytes()
        ours = theirs = 0
        for _ in range(BITS):
            content = tamper.flipped(original, chance.randrange(len(original) * 8))
            path.write_bytes(content)
            ours += not verify_run(archive, folder, trust).faults
            theirs += not peer.noticed(content)
        figures.add("peer", trial="one bit changed", tool="papermill", trials=BITS, unseen=theirs)
        figures.add("peer", trial="one bit changed", tool="runbook", trials=BITS, unseen=ours)
        assert ours == 0
