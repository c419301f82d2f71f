"""A disk that is full, out of inodes, or read-only, under a real `runbook run` with a kernel and a changing step.

The run stops before its next step with one line that names the path; what there is stays readable; and once there is
room, the next command seals what there was.
"""

import json
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.conftest import command
from tests.figures import SEED, WHOLE, Figures

SIZES, INODES = (12, 6) if WHOLE else (1, 1)
LIMITS = ("size", "nr_inodes") if WHOLE else random.Random(SEED).sample(["size", "nr_inodes"], 1)
MOST = {"size": 1 << 18, "nr_inodes": 40}
ENOUGH = {"size": 1 << 23, "nr_inodes": 1000}
_STEPS = 6
_CELL = (
    "from ops_lib.runbook import *\nfrom pathlib import Path\n"
    "def act(number):\n    Path('{acted}').open('a').write(f'{{number}}\\n')\n    return {{'filler': 'x' * {filler}}}\n"
)


@pytest.fixture(autouse=True, scope="module")
def _may_mount() -> None:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("small disks need root, to mount them")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a runbook of several steps, and a place for its archive."""
    with tempfile.TemporaryDirectory(prefix="disk-") as name:
        folder = Path(name)
        (folder / "runbooks").mkdir()
        (folder / "outputs").mkdir()
        (folder / "runbooks/tst-001-steps.ipynb").write_text(json.dumps(_notebook(folder / "acted")))
        yield folder


def _notebook(acted: Path) -> dict[str, object]:
    front = "---\nid: TST-001\ntitle: Steps\nhazard: changes\nowner: ana\ntimeout: 60s\n---"
    cells = [_code("words", _CELL.format(acted=acted, filler=20_000))]
    cells += [_code(f"c{n}", f"step('s{n}', lambda: act({n}))") for n in range(_STEPS)]
    raw = {"cell_type": "raw", "id": "front", "metadata": {}, "source": front}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [raw, *cells]}


def _code(name: str, source: str) -> dict[str, object]:
    return {"cell_type": "code", "id": name, "metadata": {}, "source": source, "outputs": [], "execution_count": None}


@contextmanager
def small_disk(where: Path, options: str) -> Iterator[None]:
    """A disk of some size at a place."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", where], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", where], check=True, capture_output=True)


def remount(where: Path, options: str) -> None:
    """Change what a disk may do."""
    subprocess.run(["mount", "-o", f"remount,{options}", where], check=True, capture_output=True)


def acted(folder: Path) -> list[str]:
    """The steps that were done."""
    path = folder / "acted"
    return path.read_text().split() if path.exists() else []


def runbook(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command, in a home of its own."""
    return command(folder, folder, *arguments, RUNBOOK_NO_DAEMON="1")


def holds(folder: Path) -> None:
    """What is in the archive can be read and verifies; no step was done that the archive does not know of."""
    recovered = runbook(folder, "records", "--json")
    assert recovered.returncode == 0, recovered.stderr
    verified = runbook(folder, "verify", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert json.loads(verified.stdout)["unfinished"] == []
    known = sum(len(steps_of(folder / path)) for path in _records(folder))
    assert known >= len(acted(folder))


def _records(folder: Path) -> list[Path]:
    return sorted((folder / "outputs/records").rglob("record.json"))


def steps_of(record: Path) -> list[object]:
    """The steps of a record."""
    steps: list[object] = json.loads(record.read_bytes())["steps"]
    return steps


def stopped_in_order(folder: Path) -> bool:
    """Run until the disk has no room; whether it stopped as it should, rather than having had room enough."""
    began = runbook(folder, "run", "TST-001")
    if began.returncode == 0:
        return False
    assert began.returncode == 1, (began.returncode, began.stdout, began.stderr)
    line = next(line for line in reversed(began.stderr.splitlines()) if "cannot" in line)
    assert "Traceback" not in began.stderr, began.stderr
    assert "outputs" in line, line
    assert "no space" in line or "read-only" in line, line
    readable = runbook(folder, "records")
    assert readable.returncode == 0, readable.stderr
    return True


@pytest.mark.parametrize("limit", LIMITS)
def test_a_full_disk_stops_a_run_before_its_next_step(
    place: Path, figures: Figures, chance: random.Random, limit: str
) -> None:
    """Whatever the room is, down to none; afterwards there is room again."""
    tries = SIZES if limit == "size" else INODES
    stopped = 0
    for number in range(tries):
        room = chance.randrange(2, MOST[limit]) if number else MOST[limit] // 3
        (place / "acted").unlink(missing_ok=True)
        shutil.rmtree(place / ".config", ignore_errors=True)  # else the archive of the disk before would be missed
        with small_disk(place / "outputs", f"{limit}={room}"):
            stopped += stopped_in_order(place)
            remount(place / "outputs", f"{limit}={ENOUGH[limit]}")
            holds(place)
    figures.add("small disks", limit=limit, runs=tries, stopped=stopped, wrong=0)
    assert stopped, "no disk was small enough"


def test_a_read_only_disk_can_still_be_read(place: Path, figures: Figures) -> None:
    """A run does not begin, and what there is is listed, shown and verified, also with an unfinished run on it."""
    with small_disk(place / "outputs", "size=8m"):
        assert runbook(place, "run", "TST-001").returncode == 0
        staged = place / "outputs/staging/01KDVDNA000000000000000000"
        staged.mkdir()
        done = acted(place)
        remount(place / "outputs", "ro")
        assert stopped_in_order(place)
        assert acted(place) == done
        assert runbook(place, "record", "last").returncode == 0
        assert runbook(place, "verify").returncode == 0
        remount(place / "outputs", "rw")
        holds(place)
    figures.add("small disks", limit="read-only", runs=1, stopped=1, wrong=0)
