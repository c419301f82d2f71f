"""The command as a user has it: a process of its own, in a folder of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
RUNBOOK = Path(sys.executable).with_name("runbook")
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A home folder with a state folder of its own: its demonstration is not the user's."""
    folder = Path(tempfile.mkdtemp(prefix="ops-home-"))
    folder.chmod(0o711)
    yield folder
    command(folder, folder, "demo", "stop", timeout=60)
    shutil.rmtree(folder, ignore_errors=True)


def environment(home: Path, **more: str) -> dict[str, str]:
    """What a command gets: a home of its own, and a demonstration of a twentieth of the size."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TERM") if name in os.environ}
    (home / "run").mkdir(exist_ok=True)
    return {
        **kept,
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "RUNBOOK_DEMO_SCALE": "0.05",
        "COLUMNS": "100",
        **more,
    }


def command(
    home: Path, folder: Path, *arguments: str, timeout: float = 180, **more: str
) -> "subprocess.CompletedProcess[str]":
    """Run `runbook` in a folder to its end."""
    return subprocess.run(
        [RUNBOOK, *arguments], cwd=folder, env=environment(home, **more), capture_output=True, text=True,
        timeout=timeout, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture
def runbook(home: Path, tmp_path: Path) -> Command:
    """Runs `runbook ARGUMENTS` in an empty folder."""
    return lambda *arguments, **more: command(home, tmp_path, *arguments, **more)
