"""A run that the daemon carries is the same run: the same words, codes and records, and it ends with its caller."""

import json
import os
import pty
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import RUNBOOK, command, environment
from tests.eventually import eventually

CELLS = [
    "seconds: int = 0  # how long to sleep (0 to 100)\nfails: bool = False  # whether to fail",
    "import os, time; print('begun', os.getcwd(), os.environ.get('COLOUR'), flush=True); time.sleep(seconds)",
    "assert not fails, 'as asked'",
]


@pytest.fixture(scope="module")
def own_home() -> Iterator[Path]:
    """A home folder whose daemon is up."""
    home = Path(tempfile.mkdtemp(prefix="ops-home-"))
    home.chmod(0o711)
    (home / "runbooks").mkdir()
    (home / "runbooks/tst-001.ipynb").write_text(json.dumps(_notebook()))
    assert command(home, home, "run", "TST-001").returncode == 0
    assert eventually(lambda: any((home / ".local/state/ops-runbooks/daemon").glob("*.kernels")))
    yield home
    command(home, home, "daemon", "stop")
    shutil.rmtree(home, ignore_errors=True)


def _notebook() -> dict[str, Any]:
    front = "---\nid: TST-001\ntitle: A test\nhazard: read-only\nowner: ana\ntimeout: 60s\n---"
    cells: list[dict[str, Any]] = [{"cell_type": "raw", "id": "front", "metadata": {}, "source": front}]
    for number, source in enumerate(CELLS):
        cells.append({
            "cell_type": "code", "id": f"c{number}", "metadata": {"tags": ["parameters"] * (number == 0)},
            "outputs": [], "execution_count": None, "source": source,
        })  # fmt: skip
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}


def owner_of(home: Path, record: dict[str, Any]) -> int:
    """The process that supervised a run, as its journal says."""
    folder = next(home.rglob(record["run_id"]))
    owner: int = json.loads((folder / "journal.jsonl").read_text().splitlines()[0])["owner"]["pid"]
    return owner


@pytest.mark.parametrize(
    "arguments",
    [["TST-001", "--reason", "to see"], ["TST-001", "-p", "fails=true"], ["TST-001", "-p", "seconds=9999"], ["NO"]],
)
def test_the_same_with_and_without(own_home: Path, arguments: list[str]) -> None:
    """Exit code, record and words on both streams; only times, ids and the process differ."""
    with_daemon = command(own_home, own_home, "run", *arguments, "--json", COLOUR="blue")
    without = command(own_home, own_home, "run", *arguments, "--json", "--no-daemon", COLOUR="blue")
    assert with_daemon.returncode == without.returncode
    assert _lines(with_daemon.stderr) == _lines(without.stderr)
    if without.stdout:
        assert _record(with_daemon.stdout) == _record(without.stdout)


def _lines(text: str) -> list[str]:
    return [line.partition(" s  ")[2] or line for line in text.splitlines()]


def _record(text: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(text)
    for name in ("run_id", "queued_at", "started_at", "ended_at", "files", "since_last", "metrics"):
        record.pop(name)
    for cell in record["cells"]:
        cell.pop("seconds")
        cell.pop("started_at")
    return record


def test_it_was_the_daemon_and_in_a_process_of_its_own(own_home: Path) -> None:
    """The supervisor is neither the daemon nor the client; folder and environment are the client's."""
    status = json.loads(command(own_home, own_home, "daemon", "status", "--json").stdout)
    client = subprocess.Popen(
        [RUNBOOK, "run", "TST-001", "--json"], cwd=own_home, env=environment(own_home, COLOUR="red"),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    record = json.loads(client.communicate(timeout=60)[0])
    assert owner_of(own_home, record) not in (client.pid, *status["running"])
    notebook = json.loads((next(own_home.rglob(record["run_id"])) / "notebook.ipynb").read_text())
    told = next(cell["outputs"] for cell in notebook["cells"] if cell["id"] == "c1")
    assert told[0]["text"] == f"begun {own_home} red\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_client_ends_the_run(own_home: Path, number: signal.Signals) -> None:
    """In order: interrupted, sealed, and said."""
    client = _sleeping(own_home)
    os.kill(client.pid, number)
    record = json.loads(client.communicate(timeout=30)[0])
    assert client.returncode == 130
    assert record["outcome"] == "interrupted"


@pytest.mark.parametrize("victim", ["client", "supervisor", "daemon"])
def test_kill_at_nine(own_home: Path, victim: str) -> None:
    """The client: interrupted, sealed at once. The supervisor: by the next command. The daemon: the run goes on."""
    client = _sleeping(own_home, seconds=3 if victim == "daemon" else 60)
    journal = next(own_home.glob("outputs/staging/*/journal.jsonl"))
    run_id = journal.parent.name
    supervisor = json.loads(journal.read_text().splitlines()[0])["owner"]["pid"]
    (daemon,) = json.loads(command(own_home, own_home, "daemon", "status", "--json").stdout)["running"]
    os.kill({"client": client.pid, "supervisor": supervisor, "daemon": daemon}[victim], signal.SIGKILL)
    client.communicate(timeout=30)
    assert client.returncode == {"client": -9, "supervisor": 1, "daemon": 0}[victim]
    if victim == "client":
        assert eventually(lambda: not journal.exists(), 10)
    assert command(own_home, own_home, "verify").returncode == 0
    record = json.loads(command(own_home, own_home, "record", run_id, "--json").stdout)
    assert record["outcome"] == ("succeeded" if victim == "daemon" else "interrupted")
    assert not _processes(f"RUNBOOK_RUN_ID={run_id}")
    if victim == "daemon":
        command(own_home, own_home, "run", "TST-001")
        assert eventually(lambda: len(json.loads(_status(own_home))["running"]) == 1)


def _status(home: Path) -> str:
    return command(home, home, "daemon", "status", "--json").stdout


def _sleeping(home: Path, seconds: int = 60) -> "subprocess.Popen[str]":
    """A run that has begun to sleep."""
    client = subprocess.Popen(
        [RUNBOOK, "run", "TST-001", "-p", f"seconds={seconds}", "--json"], cwd=home, env=environment(home),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert eventually(lambda: any("begun" in _text(path) for path in home.glob("outputs/staging/*/journal.jsonl")))
    return client


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _processes(marker: str) -> list[Path]:
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if marker.encode() in path.read_bytes():
                found.append(path)
        except OSError:
            continue
    return found


def test_a_terminal_is_written_to_by_the_run(own_home: Path) -> None:
    """Progress renews one line where standard error is a terminal, as without the daemon."""
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [RUNBOOK, "run", "TST-001"], cwd=own_home, env=environment(own_home), stdout=subprocess.PIPE, stderr=theirs,
        check=True, timeout=60,
    )  # fmt: skip
    os.close(theirs)
    shown = os.read(ours, 65536)
    os.close(ours)
    assert b"\r\x1b[K" in shown
    assert b"succeeded" in done.stdout


def test_several_at_once(own_home: Path) -> None:
    """More runs than kernels wait, all at the same time: all succeed, and the archive verifies."""
    clients = [
        subprocess.Popen(
            [RUNBOOK, "run", "TST-001"], cwd=own_home, env=environment(own_home), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(5)
    ]  # fmt: skip
    assert [client.wait(timeout=120) for client in clients] == [0] * 5
    assert command(own_home, own_home, "verify").returncode == 0


def test_after_stop_nothing_is_left(own_home: Path) -> None:
    """A run that goes on is asked to stop and sealed; neither daemon nor kernels stay."""
    client = _sleeping(own_home)
    assert eventually(lambda: len(json.loads(_status(own_home))["running"]) == 1)
    stopped = command(own_home, own_home, "daemon", "stop")
    assert stopped.stdout.startswith("stopped")
    assert json.loads(client.communicate(timeout=30)[0])["outcome"] == "interrupted"
    assert client.returncode == 130
    assert eventually(lambda: not _processes(f"HOME={own_home}\0"))
