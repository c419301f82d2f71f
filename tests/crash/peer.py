"""The same trials for plain papermill, which writes its one output file by itself.

A runner is killed at a random moment, a kernel dies in a random cell, a cell outlives its time, a call fails while
the file is written, and a bit of it is changed afterwards: what does the file say then?
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance.conftest import environment

CELLS = 6
PRINTED = "for _ in range(40): print('x' * 100_000)"  # 4 MB a cell: what papermill writes after each cell is large
DIES = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
SLEEPS = "import time; time.sleep(600)"
SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a tool left behind: whether it can be read, and which cells it calls done (nothing where it cannot)."""

    readable: bool
    done: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """How a notebook is run, and how what is left is read. `folder` holds everything."""

    name: str
    command: Callable[[Path], list[str]]
    read: Callable[[Path], Left]


def write_notebook(folder: Path, sources: list[str], timeout: str = "120s") -> None:
    """A runbook that papermill takes for a notebook like any other."""
    front = f"---\nid: TST-001\ntitle: A test\nhazard: read-only\nowner: ana\ntimeout: {timeout}\n---"
    cells: list[dict[str, Any]] = [{"cell_type": "raw", "id": "front", "metadata": {}, "source": front}]
    cells += [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
        for n, source in enumerate(sources)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (folder / "runbooks").mkdir(exist_ok=True)
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}
    (folder / "runbooks/tst-001-a-test.ipynb").write_text(json.dumps(content))


def _papermill(folder: Path, *more: str) -> list[str]:
    program = str(Path(sys.executable).with_name("papermill"))
    return [program, "--no-progress-bar", *more, str(folder / "runbooks/tst-001-a-test.ipynb"), str(_output(folder))]


def _output(folder: Path) -> Path:
    return folder / "output.ipynb"


def _read_papermill(folder: Path) -> Left:
    """The file by itself: nobody is there to repair or to ask."""
    try:
        cells = json.loads(_output(folder).read_bytes())["cells"]
    except (OSError, ValueError, KeyError):
        return Left(readable=False)
    done = [cell for cell in cells if cell["metadata"].get("papermill", {}).get("status") == "completed"]
    return Left(readable=True, done=tuple(cell["id"] for cell in done if cell["cell_type"] == "code"))


def _read_runbook(folder: Path) -> Left:
    """The record, once the next command has sealed it."""
    program = str(Path(sys.executable).with_name("runbook"))
    kept = environment(folder, RUNBOOK_NO_DAEMON="1")
    verified = subprocess.run([program, "verify"], cwd=folder, env=kept, capture_output=True, check=False)
    shown = subprocess.run(
        [program, "record", "last", "--json"], cwd=folder, env=kept, capture_output=True, check=False
    )
    if verified.returncode or shown.returncode:
        return Left(readable=False)
    cells = json.loads(shown.stdout)["cells"]
    return Left(readable=True, done=tuple(cell["id"] for cell in cells if cell["status"] == "ok"))


PAPERMILL = Tool(name="papermill", command=_papermill, read=_read_papermill)
RUNBOOK = Tool(
    name="runbook",
    command=lambda folder: [str(Path(sys.executable).with_name("runbook")), "run", "TST-001", "--json"],
    read=_read_runbook,
)
PATIENT = Tool(
    name="papermill",
    command=lambda folder: _papermill(folder, "--execution-timeout", "2"),
    read=_read_papermill,
)


def start(tool: Tool, folder: Path) -> "subprocess.Popen[bytes]":
    """The tool at work."""
    return subprocess.Popen(
        tool.command(folder), cwd=folder, env=environment(folder, RUNBOOK_NO_DAEMON="1"),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def killed(tool: Tool, folder: Path, chance: random.Random) -> Left:
    """What is left of a run whose runner is killed at a random moment after its first output."""
    write_notebook(folder, [f"{PRINTED}\nopen('{folder}/began', 'a').write('x')" for _ in range(CELLS)])
    process = start(tool, folder)
    began, deadline = folder / "began", time.monotonic() + SECONDS
    while process.poll() is None and not began.exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 2.0))
    _kill(process)
    return tool.read(folder)


def died(tool: Tool, folder: Path, chance: random.Random, source: str = DIES) -> tuple[Left, int]:
    """What is left of a run that ends in a random cell; and how many cells it calls done that were not."""
    last = chance.randrange(CELLS - 1)
    write_notebook(
        folder, ["1"] * last + [source] + ["1"] * (CELLS - last - 1), timeout="4s" if source == SLEEPS else "120s"
    )
    process = start(tool, folder)
    process.wait(timeout=SECONDS)
    left = tool.read(folder)
    true = {f"c{number}" for number in range(last)}
    return left, len([cell for cell in left.done if cell not in true])


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with suppress(ProcessLookupError):  # papermill's kernel; those of a runbook die with their keeper
        os.killpg(process.pid, signal.SIGKILL)


def noticed(content: bytes) -> bool:
    """Whether somebody who opens the file with the format's own library is told that it was changed."""
    import nbformat  # noqa: PLC0415

    try:
        nbformat.validate(nbformat.reads(content.decode(), as_version=4))
    except Exception:
        return True
    return False


def save(notebook: Mapping[str, Any], path: Path, promise: Callable[[int], None]) -> None:
    """What papermill does after each cell: the whole file once more. A promise is made as each call returns."""
    from nbformat import from_dict  # noqa: PLC0415
    from papermill.iorw import write_ipynb  # noqa: PLC0415

    for number in range(3):
        cells = [{**cell, "metadata": {"saved": number}} for cell in notebook["cells"]]
        write_ipynb(from_dict({**notebook, "cells": cells}), str(path))
        promise(number)


def what_is_saved(path: Path) -> int | None:
    """Which of the saved versions a file is; nothing where it is none."""
    try:
        return int(json.loads(path.read_bytes())["cells"][-1]["metadata"]["saved"])
    except (OSError, ValueError, LookupError):
        return None
