"""Many runs one after the other, below one daemon: nothing of them adds up.

RUNBOOK_RUNS_IN_A_ROW says how many (20 unless told otherwise).
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops_lib.daemon import client
from ops_lib.notebooks import keeper
from tests.acceptance.conftest import command, environment
from tests.eventually import eventually

RUNS = int(os.environ.get("RUNBOOK_RUNS_IN_A_ROW", "20"))
SETTLED = 5
MOST_GROWTH_KIB = 2048
FRONT = "---\nid: TST-001\ntitle: A test\nhazard: read-only\nowner: ana\ntimeout: 60s\n---"


@pytest.fixture
def home() -> Iterator[Path]:
    """A home folder with one small runbook, whose daemon is up."""
    folder = Path(tempfile.mkdtemp(prefix="ops-home-"))
    (folder / "runbooks").mkdir()
    code = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    front = {"cell_type": "raw", "id": "front", "metadata": {}, "source": FRONT}
    cells = [front, {**code, "id": "a", "source": "x = [1] * 1000"}, {**code, "id": "b", "source": "x"}]
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    (folder / "runbooks/tst-001.ipynb").write_text(json.dumps(notebook))
    run(folder)
    assert eventually(lambda: any((folder / ".local/state/ops-runbooks/daemon").glob("*.kernels")), 120)
    yield folder
    command(folder, folder, "daemon", "stop")
    shutil.rmtree(folder, ignore_errors=True)


def run(home: Path) -> None:
    done = command(home, home, "run", "TST-001")
    assert done.returncode == 0, done.stderr


def standing(home: Path) -> dict[str, int]:
    """What the daemon and its fork server hold, and what lies about, once kernels that were used up are made again."""
    ((daemon, _),) = client.daemons(environment(home))
    assert eventually(lambda: _is_settled(home, daemon), 60)
    servers = [daemon, *(pid for pid in keeper.descendants(daemon) if "fork server" in _title(pid))]
    return {
        "KiB": sum(_private(pid) for pid in servers),
        "descriptors": sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in servers),
        "processes": len(keeper.descendants(daemon)),
        "sockets": len(list((home / "run").rglob("*"))),
        "staged": len(list((home / "outputs/staging").iterdir())),
    }


def _is_settled(home: Path, daemon: int) -> bool:
    """A fork server, two kernels that wait with their keepers, the fork that waits for the next run; nothing else.

    A kernel waits once it has its five sockets.
    """
    titles = [_title(pid) for pid in keeper.descendants(daemon)]
    counted = [sum(name in title for title in titles) for name in ("fork server", "that waits")]
    return len(titles) == 6 and counted == [1, 2] and len(list((home / "run").rglob("kernel-?"))) == 10


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _private(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"^Private_\w+:\s+(\d+)", text, re.MULTILINE))


def test_many_runs_leave_nothing(home: Path) -> None:
    """Memory, descriptors, processes and temporary files are what they were after the first few."""
    for _ in range(SETTLED):
        run(home)
    before = standing(home)
    for _ in range(RUNS):
        run(home)
    after = standing(home)
    grown = after.pop("KiB") - before.pop("KiB")
    assert after == before
    assert grown < MOST_GROWTH_KIB, f"{grown} KiB over {RUNS} runs"
