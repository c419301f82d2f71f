"""What somebody sees who follows a run, and how parameters reach one."""

import json
import os
import pty
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import RUNBOOK, command, environment

CELLS = [
    "from ops_lib.runbook import *",
    """days: int = 7  # how far back (1 to 90)
only: list[str] = []  # schemas
since: datetime | None = None  # from when
how: Literal["fast", "no"] = "fast"  # how""",
    "print('\\x1b[2J[bold]begun', end=''); print('   indented')\n(days, only, str(since), how)",
    """tried = []
step('flaky', lambda: (tried.append(1), 1 / (len(tried) - 1), len(tried))[2], retry=2)""",
]
NO_DAEMON = {"RUNBOOK_NO_DAEMON": "1"}


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home folder with one runbook, whose kernel is started for it."""
    folder = Path(tempfile.mkdtemp(prefix="ops-home-"))
    (folder / "runbooks").mkdir()
    front = "---\nid: TST-001\ntitle: A test\nhazard: read-only\nowner: ana\ntimeout: 60s\n---"
    cells: list[dict[str, Any]] = [{"cell_type": "raw", "id": "front", "metadata": {}, "source": front}]
    cells.append({"cell_type": "markdown", "id": "h", "metadata": {}, "source": "## How far?"})
    for number, source in enumerate(CELLS):
        tags = ["parameters"] if number == 1 else []
        cell = {"cell_type": "code", "id": f"c{number}", "metadata": {"tags": tags}, "source": source, "outputs": []}
        cells.append({**cell, "execution_count": None})
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    (folder / "runbooks/tst-001.ipynb").write_text(json.dumps(notebook))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_lines_for_machines_and_a_retried_step(home: Path) -> None:
    """One document a line as it happens, the record in the last; a step that says so was tried again."""
    done = command(home, home, "run", "TST-001", "--json-lines", **NO_DAEMON)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["kind"] for event in events]
    assert (kinds[0], kinds[-1]) == ("opened", "sealed")
    assert [event["attempt"] for event in events if event["kind"] == "step-retried"] == [2]
    record = events[-1]["record"]
    assert record["outcome"] == "succeeded"
    assert [(step["status"], step["evidence"]) for step in record["steps"]] == [("done", 2)]


def test_followed_by_a_person(home: Path) -> None:
    """Output as it comes, without what would move the cursor, under the question; then the verdict."""
    done = command(home, home, "run", "TST-001", "--follow", **NO_DAEMON)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert any(line.startswith("How far?") for line in lines)
    assert "?[2J[bold]begun   indented" in lines
    assert "step flaky: attempt 2, since ZeroDivisionError: division by zero" in lines
    assert "succeeded" in done.stdout


def test_followed_on_a_terminal(home: Path) -> None:
    """The bar counts cells, and says what is usual once there was a run."""
    command(home, home, "run", "TST-001", **NO_DAEMON)
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [RUNBOOK, "run", "TST-001", "--follow"], cwd=home, env=environment(home, TERM="xterm", **NO_DAEMON),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # how a terminal says that nobody has it open any more
        while more := os.read(ours, 1 << 16):
            shown += more
    os.close(ours)
    assert running.wait(60) == 0
    assert b"/4" in shown or b"/5" in shown
    assert b"usually" in shown


def test_parameters_by_word_by_file_and_by_environment(home: Path) -> None:
    """`-p` goes before the file, which goes before the environment; a value means what it looks like."""
    (home / "given.yaml").write_text("days: 3\nonly: [raw, no]\nsince: 2026-01-31\nhow: no\n")
    words = ("run", "TST-001", "--json", "--parameters", "given.yaml", "-p", "days=4")
    ambient = {"RUNBOOK_PARAMETER_DAYS": "5", "RUNBOOK_PARAMETER_OTHER": "of another runbook"}
    done = command(home, home, *words, **ambient, **NO_DAEMON)
    assert done.returncode == 0, done.stderr
    given = json.loads(done.stdout)["parameters"]
    assert given == {"days": 4, "only": ["raw", "no"], "since": "2026-01-31T00:00:00.000Z", "how": "no"}
    done = command(home, home, "run", "TST-001", "--json", **ambient, **NO_DAEMON)
    assert json.loads(done.stdout)["parameters"]["days"] == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "given.yaml: not a mapping of names to values"),
        ("days: {a: 1}", "given.yaml: line 1: neither a value nor a list of values"),
        ("days: 1\ndays: 2", "given.yaml: line 2: days is given twice"),
        ("days: [", "given.yaml: line 2: "),
        ("days: x", "days takes a whole number"),
        ("dais: 1", "did you mean days?"),
        (None, "given.yaml cannot be read: No such file"),
    ],
)
def test_a_file_of_parameters_that_does_not_fit(home: Path, text: str | None, said: str) -> None:
    """One line that says where, and nothing is recorded."""
    (home / "given.yaml").unlink(missing_ok=True)
    if text is not None:
        (home / "given.yaml").write_text(text)
    done = command(home, home, "run", "TST-001", "--parameters", "given.yaml", **NO_DAEMON)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
