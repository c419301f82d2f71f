"""kill -9 of the kernel, of the supervisor and of the database at random moments of an investigation.

Each leaves an archive that verifies; the next command seals what was interrupted; no process and no session is left.
RUNBOOK_KILLS says how many of each kind are tried (4 unless told otherwise), RUNBOOK_SEED with which random numbers.
"""

import json
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance.conftest import RUNBOOK, command, environment

KILLS = int(os.environ.get("RUNBOOK_KILLS", "4"))
SEED = int(os.environ.get("RUNBOOK_SEED", "20260101"))
OUTCOMES = {
    "kernel": {"failed", "succeeded"},
    "supervisor": {"interrupted", "succeeded"},
    "database": {"failed", "succeeded", "refused"},
}


@pytest.fixture(scope="module")
def folder(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose archive holds all the killed runs, over a demonstration that is complete."""
    made = tmp_path_factory.mktemp("kills")
    done = command(home, made, "demo")
    assert done.returncode == 0, done.stderr
    return made


def processes(marker: str) -> dict[int, str]:
    """The processes that have a text in their environment, with their command lines."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (path / "environ").read_bytes():
                found[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return found


def run_id_of(supervisor: "subprocess.Popen[bytes]", folder: Path, before: set[str]) -> str | None:
    """The id of the run that a supervisor has begun."""
    staging = folder / "outputs/staging"
    while supervisor.poll() is None:
        new = {path.name for path in staging.glob("[0-9A-Z]*")} - before
        if new:
            return new.pop()
        time.sleep(0.005)
    return None


def victim(kind: str, supervisor: "subprocess.Popen[bytes]", run_id: str, home: Path) -> int | None:
    """The process to kill."""
    if kind == "supervisor":
        return supervisor.pid
    if kind == "kernel":
        lines = processes(f"RUNBOOK_RUN_ID={run_id}")
        return next((pid for pid, line in lines.items() if "ipykernel_launcher" in line and "keeper" not in line), None)
    data = next(home.rglob("postmaster.pid"), None) or next(Path("/var/lib/ops-runbooks").rglob("postmaster.pid"))
    return int(data.read_text().splitlines()[0])


@pytest.mark.parametrize("kind", ["kernel", "supervisor", "database"])
def test_a_kill_at_any_moment_leaves_a_true_record(home: Path, folder: Path, kind: str) -> None:
    """At random moments between the first byte and the last one."""
    chance = random.Random(f"{SEED} {kind}")
    for number in range(KILLS):
        moment = chance.uniform(0, 4.5)
        outcome = kill_once(home, folder, kind, moment)
        assert outcome in OUTCOMES[kind], f"seed {SEED}, kill {number} of the {kind} after {moment:.3f} s: {outcome}"


def kill_once(home: Path, folder: Path, kind: str, moment: float) -> str | None:
    """Start an investigation, kill at a moment, and look at everything that is left."""
    before = {path.name for path in (folder / "outputs/staging").glob("[0-9A-Z]*")}
    supervisor = subprocess.Popen(
        [RUNBOOK, "run", "SOP-004"], cwd=folder, env=environment(home), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    run_id = run_id_of(supervisor, folder, before)
    assert run_id is not None
    time.sleep(moment)
    killed = victim(kind, supervisor, run_id, home)
    if killed is not None:
        with suppress(ProcessLookupError):
            os.kill(killed, signal.SIGKILL)
    supervisor.wait(timeout=60)
    return look(home, folder, run_id)


def until_sealed(home: Path, folder: Path, seconds: float = 10) -> "subprocess.CompletedProcess[str]":
    """What `verify` says once nothing is unfinished: below the daemon, a run outlives its killed command a little."""
    end = time.monotonic() + seconds
    while True:
        verified = command(home, folder, "verify", "--json")
        if verified.returncode or time.monotonic() > end or not json.loads(verified.stdout)["unfinished"]:
            return verified


def look(home: Path, folder: Path, run_id: str) -> str | None:
    """Whether archive, processes and sessions are as they should be; the outcome that is recorded."""
    verified = until_sealed(home, folder)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert json.loads(verified.stdout)["unfinished"] == []
    assert processes(f"RUNBOOK_RUN_ID={run_id}") == {}
    assert not (home / "run" / f"runbook-{run_id[-12:].lower()}").exists(), "sockets are left"
    counted = command(
        home, folder, "demo", "psql", "-Atc",
        f"SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%{run_id}'",
    )  # fmt: skip
    assert counted.stdout.strip() == "0", counted.stdout + counted.stderr
    record = command(home, folder, "record", run_id, "--json")
    content = json.loads(record.stdout)
    statuses = [cell["status"] for cell in content["cells"]]
    done = statuses.count("ok")
    assert all(status != "ok" for status in statuses[done:]), "nothing after the end counts as done"
    outcome: str = content["outcome"]
    return outcome
