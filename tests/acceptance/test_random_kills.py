"""kill -9 of a random process of a run at a random moment, whatever it is: nothing is left, and the record is true.

The process is the command, the daemon, the fork server, the kernel, its keeper, the supervisor or the database; the run
changes its target in two steps and leaves a process in a session of its own. RUNBOOK_RANDOM_KILLS says how many runs
(6 unless told otherwise), RUNBOOK_SEED with which random numbers; kill number N of a seed is the same every time.
"""

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops_lib.daemon import client
from ops_lib.model.run import RUN_VARIABLE
from ops_lib.notebooks import keeper
from ops_lib.postgres.alone import alone
from ops_lib.postgres.server import EmbeddedServer
from tests.acceptance.conftest import RUNBOOK, command, environment
from tests.eventually import eventually

KILLS = int(os.environ.get("RUNBOOK_RANDOM_KILLS", "6"))
SEED = int(os.environ.get("RUNBOOK_SEED", "20260101"))
SECONDS_OF_ORPHANS, SECONDS_OF_LOCKS = 10, 30
OUTCOMES: Mapping[str, set[str]] = {
    "nothing": {"succeeded"},
    "daemon": {"succeeded"},
    "fork server": {"succeeded"},
    "client": {"interrupted", "succeeded"},
    "supervisor": {"interrupted", "succeeded"},
    "kernel": {"failed", "succeeded"},
    "keeper": {"failed", "succeeded"},
    "database": {"failed", "refused", "succeeded"},
}
CELLS = [
    "from ops_lib.runbook import *\nimport os, subprocess, time\nfrom pathlib import Path\ndatabase = target()",
    "stray = subprocess.Popen(['setsid', 'sleep', '300'])",
    "effects = Path('effects', os.environ['RUNBOOK_RUN_ID']); effects.mkdir()",
    "step('one', lambda: (time.sleep(0.1), (effects / 'one').touch(), time.sleep(0.1))[1])",
    "frame(database, 'pause.sql')",
    "step('two', lambda: (time.sleep(0.1), (effects / 'two').touch(), time.sleep(0.1))[1])",
    "stray.kill(); (effects / 'finished').touch()",
]
STATUSES_WITH_EFFECT = {"done", "unknown", "failed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A home folder in which runs are killed, and the database that they change."""

    home: Path
    server: EmbeddedServer

    @property
    def outputs(self) -> Path:
        return self.home / "outputs"

    def runs(self) -> set[str]:
        """The ids of all runs that there ever were."""
        return {path.name for where in ("staging", "records/*/*/*") for path in self.outputs.glob(f"{where}/[0-9A-Z]*")}


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A team's folder with one runbook and one target of its own."""
    home = Path(tempfile.mkdtemp(prefix="ops-home-"))
    home.chmod(0o711)
    server = EmbeddedServer(home / "server")
    server.start()
    try:
        _furnish(home, server)
        yield Place(home=home, server=server)
    finally:
        command(home, home, "daemon", "stop")
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def _furnish(home: Path, server: EmbeddedServer) -> None:
    login = server.login(dbname="postgres")
    for name in ("runbooks", "effects", "infrastructure"):
        (home / name).mkdir()
    (home / "pause.sql").write_text("SELECT pg_sleep(0.2)")
    (home / "password").write_text(login.password or "")
    dsn = " ".join(f"{key}={value}" for key, value in login.keywords.items())
    target = {"kind": "postgres", "dsn": dsn, "password_from": f"file:{home}/password"}
    (home / "infrastructure/targets.yaml").write_text(json.dumps({"own": target}))
    front = "---\nid: TST-001\ntitle: A test\nhazard: changes\nowner: ana\ntimeout: 60s\nneeds: [target:postgres]\n---"
    cells: list[dict[str, Any]] = [{"cell_type": "raw", "id": "front", "metadata": {}, "source": front}]
    for number, source in enumerate(CELLS):
        cell = {"cell_type": "code", "id": f"c{number}", "metadata": {}, "source": source, "outputs": []}
        cells.append({**cell, "execution_count": None})
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    (home / "runbooks/tst-001.ipynb").write_text(json.dumps(notebook))


def test_a_kill_of_anything_at_any_moment(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """Every run in turn; what was killed when is in the message of a failure."""
    usual = max(_unharmed(place) for _ in range(3))
    killed: dict[str, int] = {}
    for number in range(KILLS):
        chance = random.Random(f"{SEED} {number}")
        kind, moment, without = chance.choice([*OUTCOMES][1:]), chance.uniform(0, 1.2 * usual), chance.random() < 0.25
        what = f"seed {SEED}, kill {number} of the {kind} after {moment:.3f} s{' without the daemon' * without}"
        hit = _kill_once(place, kind, moment, ["--no-daemon"] * without, what)
        killed[hit] = killed.get(hit, 0) + 1
    with capfd.disabled():
        sys.stdout.write(f"\nseed {SEED}, killed of {KILLS} runs: {killed}\n")
    verified = command(place.home, place.home, "verify", "--json")
    assert verified.returncode == 0, verified.stdout
    command(place.home, place.home, "daemon", "stop")
    assert eventually(lambda: not _processes(f"HOME={place.home}\0"), SECONDS_OF_ORPHANS)


def _unharmed(place: Place) -> float:
    began = time.monotonic()
    done = command(place.home, place.home, "run", "TST-001", "--target", "own")
    assert done.returncode == 0, done.stdout + done.stderr
    return time.monotonic() - began


def _kill_once(place: Place, kind: str, moment: float, more: list[str], what: str) -> str:
    """One run with one kill, and everything that must be true afterwards; what was killed."""
    before = place.runs()
    running = subprocess.Popen(
        [RUNBOOK, "run", "TST-001", "--target", "own", *more], cwd=place.home, env=environment(place.home),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with suppress(subprocess.TimeoutExpired):
        running.wait(timeout=moment)
    victim = _victim(place, kind, running, place.runs() - before)
    if victim:
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    running.wait(timeout=60)
    new = place.runs() - before
    _look_for_what_is_left(place, new, what)
    if kind == "database":
        place.server.start()
    for run_id in new:
        outcome = _true_outcome(place, run_id, what)
        assert outcome in OUTCOMES[kind if victim else "nothing"], f"{what}: {outcome}"
    assert len(new) == 1 or (victim and kind in ("client", "supervisor")), f"{what}: {new}"
    return kind if victim else "nothing"


def _victim(place: Place, kind: str, running: "subprocess.Popen[bytes]", new: set[str]) -> int | None:
    """The process to kill, where there is one at this moment."""
    if kind == "client":
        return running.pid if running.poll() is None else None
    if kind == "database":
        return int((place.server.data / "postmaster.pid").read_text().splitlines()[0])
    daemons = [pid for pid, _ in client.daemons(environment(place.home))]
    if kind == "daemon":
        return next(iter(daemons), None)
    if kind == "fork server":
        below = [pid for daemon in daemons for pid in keeper.descendants(daemon)]
        return next((pid for pid in below if "runbook fork server" in _title(pid)), None)
    return next((pid for run_id in new for pid in _of_run(place, kind, run_id)), None)


def _of_run(place: Place, kind: str, run_id: str) -> Iterator[int]:
    if kind == "supervisor":
        with suppress(OSError, ValueError):
            journal = (place.outputs / "staging" / run_id / "journal.jsonl").read_text()
            yield json.loads(journal.partition("\n")[0])["owner"]["pid"]
        return
    for pid in _processes(f"{RUN_VARIABLE}={run_id}\0"):
        title = _title(pid)
        if ("keeper" in title) is (kind == "keeper") and ("keeper" in title or "ipykernel_launcher" in title):
            yield pid


def _look_for_what_is_left(place: Place, new: set[str], what: str) -> None:
    """No process and no lock, without any command that cleans up."""
    for run_id in new:
        marker = f"{RUN_VARIABLE}={run_id}\0"
        assert eventually(lambda marker=marker: not _processes(marker), SECONDS_OF_ORPHANS), f"{what}: orphans"
    assert eventually(lambda: _is_free(place), SECONDS_OF_LOCKS), f"{what}: a lock is left"


def _is_free(place: Place) -> bool:
    """Whether a run could begin now; a database that is down holds nothing."""
    waited: list[str] = []

    def patience(holder: str) -> bool:
        waited.append(holder)
        return False

    for path in place.outputs.glob("locks/*.lock"):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                waited.append(str(path))
    if place.server.running():
        with suppress(Exception), alone(place.server.login(dbname="postgres"), application_name="x", patience=patience):
            pass
    return not waited


def _true_outcome(place: Place, run_id: str, what: str) -> str | None:
    """The outcome that is recorded, once it was held against what has happened; nothing for a run that never began."""
    shown = command(place.home, place.home, "record", run_id, "--json")
    if shown.returncode:
        assert not (place.home / "effects" / run_id).exists(), f"{what}: {shown.stderr}"
        return "succeeded"
    record = json.loads(shown.stdout)
    effects = {path.name for path in (place.home / "effects" / run_id).glob("*")}
    statuses = {step["name"]: step["status"] for step in record["steps"]}
    for name in ("one", "two"):
        expected = STATUSES_WITH_EFFECT if name in effects else {"unknown", "failed", "not-run", None}
        assert statuses.get(name) in expected, f"{what}: step {name} is {statuses.get(name)}, effects {effects}"
    cells = [cell["status"] for cell in record["cells"]]
    assert all(status == "not-run" for status in cells[cells.count("ok") + 1 :]), f"{what}: {cells}"
    if record["outcome"] == "succeeded":
        assert effects == {"one", "two", "finished"}, f"{what}: succeeded with {effects}"
        assert set(cells) == {"ok"}
    outcome: str = record["outcome"]
    return outcome


def _processes(marker: str) -> list[int]:
    """The processes that have a text in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if marker.encode() in (path / "environ").read_bytes():
                found.append(int(path.name))
    return found


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
