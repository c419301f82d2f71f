"""Floods: whatever a cell puts out, the supervisor stays small, the record stays small, and the run ends.

Each flood is a run of the real command, whose memory is read from /proc. RUNBOOK_FLOODS=full takes the sizes of the
documentation (a gigabyte, 5,000 figures, a million rows); otherwise each is a sample of it.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

FULL = os.environ.get("RUNBOOK_FLOODS") == "full"
RUNBOOK = Path(sys.executable).with_name("runbook")
MEMORY_MB = 512
STORED_MB = 64
GRACE_SECONDS = 10.0


def size(whole: int, sample: int) -> int:
    return whole if FULL else sample


LINES = size(1_000_000, 20_000)
LETTERS = size(300_000_000, 10_000_000)
FIGURES = size(5_000, 40)
ROWS = size(1_000_000, 30_000)
MESSAGES = size(100_000, 4_000)
CHILD = size(1_000_000_000, 30_000_000)
TOLD = size(100_000, 4_000)
BARE = "session = get_ipython().kernel.session; session.send = type(session).send.__get__(session)\n"


@dataclass(frozen=True, kw_only=True)
class Flooded:
    """What a flooded run left behind, and what its supervisor took."""

    record: dict[str, Any]
    notebook: dict[str, Any]
    peak_mb: float
    stored_mb: float
    seconds: float

    def text(self, cell: str) -> str:
        outputs = next(item["outputs"] for item in self.notebook["cells"] if item["id"] == cell)
        return "".join(output["text"] for output in outputs if output["output_type"] == "stream")


def code(name: str, source: str) -> dict[str, Any]:
    return {"cell_type": "code", "id": name, "metadata": {}, "source": source, "outputs": [], "execution_count": None}


def flood(folder: Path, *cells: str, timeout: int = 1800) -> Flooded:
    """Run cells with the command, and watch the memory of its process."""
    matter = f"---\nid: FLD-001\ntitle: A flood\nhazard: read-only\nowner: ana\ntimeout: {timeout}s\n---"
    front = {"cell_type": "raw", "id": "front", "metadata": {}, "source": matter}
    content = [front, *(code(f"c{number}", cell) for number, cell in enumerate(cells))]
    (folder / "runbooks").mkdir()
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": content}
    (folder / "runbooks/fld-001-a-flood.ipynb").write_text(json.dumps(notebook))
    known = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    environment = {**known, "HOME": str(folder), "TEST_PASSWORD": "correct-horse-battery", "RUNBOOK_NO_DAEMON": "1"}
    with (folder / "printed").open("wb") as printed:
        command = [RUNBOOK, "run", "FLD-001", "--json"]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=printed, stderr=subprocess.DEVNULL)
    peak = watched(process)
    record = json.loads((folder / "printed").read_bytes())
    sealed = next((folder / "outputs/records").glob("*/*/*/*"))
    took = datetime.fromisoformat(record["ended_at"]) - datetime.fromisoformat(record["started_at"])
    return Flooded(
        record=record,
        notebook=json.loads((sealed / "notebook.ipynb").read_bytes()),
        peak_mb=peak / 1024,
        stored_mb=sum(path.stat().st_size for path in sealed.rglob("*") if path.is_file()) / 1e6,
        seconds=took.total_seconds(),
    )


def watched(process: "subprocess.Popen[bytes]") -> int:
    """The largest memory that a process ever had, in kB, once it has ended."""
    peak = 0
    while process.poll() is None:
        try:
            found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
        except OSError:
            continue
        peak = max(peak, int(found[1]) if found else 0)
        time.sleep(0.05)
    return peak


def assert_bounded(flooded: Flooded) -> None:
    assert 0 < flooded.peak_mb < MEMORY_MB
    assert flooded.stored_mb < STORED_MB


def test_floods_of_text_and_what_comes_after(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A gigabyte of lines, one huge text, many small messages, a child's output: cut, said so, and later cells run."""
    flooded = flood(
        tmp_path,
        f"for number in range({MESSAGES}): print(number, flush=True)",
        f"for _ in range({LINES}): print('x' * 1023)",
        f"print('z' * {LETTERS})",
        f"import subprocess, sys\nsubprocess.run('yes | head -c {CHILD}', shell=True)",
        f"for number in range({MESSAGES} // 2): print(number, file=(sys.stdout, sys.stderr)[number % 2], flush=True)",
        BARE + f"for number in range({LINES} // 10): print('b' * 1000)",
        "print('later'); from ops_lib.runbook import show; show('one')",
    )
    assert flooded.record["outcome"] == "succeeded"
    assert {cell["status"] for cell in flooded.record["cells"]} == {"ok"}
    assert_bounded(flooded)
    expected = hashlib.sha256()
    for _ in range(LINES):
        expected.update(b"x" * 1023 + b"\n")
    assert f"of the {LINES * 1024:,} bytes that this cell put out are kept" in flooded.text("c1")
    assert f"sha256 of all of them {expected.hexdigest()}" in flooded.text("c1")
    assert f"of the {LETTERS + 1:,} bytes" in flooded.text("c2")
    assert flooded.text("c0") == "".join(f"{number}\n" for number in range(MESSAGES))
    assert "cut here" in flooded.text("c3")
    assert flooded.text("c6").startswith("later\n")
    tell(capsys, "text", flooded)


def test_floods_of_displays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Figures, frames, huge reprs and pages, thousands of displays: as many as there is room for."""
    flooded = flood(
        tmp_path,
        "%matplotlib inline\nimport matplotlib.pyplot as plt, pandas as pd\n"
        f"for number in range({FIGURES}): plt.figure(figsize=(3, 2)); plt.plot([1, number]); plt.show()",
        f"frame = pd.DataFrame({{'a': range({ROWS}), 'b': range({ROWS})}})\ndisplay(frame)\nprint(frame.to_string())",
        f"from IPython.display import HTML\ndisplay(HTML('<p>&' + 'z' * {LETTERS}))\n'z' * {LETTERS}",
        f"for number in range({MESSAGES}): display(number)",
        "frame",
    )
    assert flooded.record["outcome"] == "succeeded"
    assert_bounded(flooded)
    outputs = {cell["id"]: cell["outputs"] for cell in flooded.notebook["cells"] if cell["cell_type"] == "code"}
    assert sum("image/png" in output.get("data", {}) for output in outputs["c0"]) >= min(FIGURES, 40)
    assert f"{ROWS} rows" in outputs["c1"][0]["data"]["text/plain"]
    assert "[cut here: 0 of the" in outputs["c2"][-1]["text"]
    assert f"{ROWS} rows" in outputs["c4"][0]["data"]["text/plain"]
    tell(capsys, "displays", flooded)


def test_an_endless_print_ends_by_its_deadline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The run is timed out, what was printed so far is kept, and how much there was is said."""
    flooded = flood(tmp_path, "while True: print('y' * 100)", "1", timeout=4)
    assert flooded.record["outcome"] == "timed-out"
    assert flooded.seconds < 4 + GRACE_SECONDS
    assert [cell["status"] for cell in flooded.record["cells"]] == ["failed", "not-run"]
    assert "y" * 100 in flooded.text("c0")
    assert_bounded(flooded)
    tell(capsys, "endless", flooded)


def test_floods_that_are_no_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Notes, statements, attachments and a huge error: bounded, and the error is told with its ends."""
    refused = "try: {}\nexcept Exception as error: print(type(error).__name__, str(error)[:300])"
    flooded = flood(
        tmp_path,
        "import gzip\nfrom ops_lib.runbook import *\nfrom ops_lib import wiring\n"
        + refused.format(f"note('n' * {max(LETTERS, 40_000_000)})"),
        f"for number in range({TOLD}): wiring.conversation().statement('SELECT ' + 'x' * 1000, 0.1)",
        refused.format("attach('large.bin', bytes(13 << 20))"),
        refused.format("attach('bomb.gz', gzip.compress(bytes(200 << 20)))"),
        f"raise ValueError('begin ' + 'z' * {LETTERS} + ' end')",
    )
    assert flooded.record["outcome"] == "failed"
    assert "BadInput" in flooded.text("c0")
    assert "BadInput" in flooded.text("c2")
    assert "BadInput" in flooded.text("c3")
    message = flooded.record["error"]["message"]
    assert message.startswith("begin zzz")
    assert message.endswith("zzz end")
    assert f"of {LETTERS + 10} characters, sha256" in message
    assert_bounded(flooded)
    tell(capsys, "no output", flooded)


def tell(capsys: pytest.CaptureFixture[str], name: str, flooded: Flooded) -> None:
    """Print what it took, past pytest's capture."""
    with capsys.disabled():
        taken = f"{flooded.peak_mb:.0f} MB of memory, {flooded.stored_mb:.1f} MB stored, {flooded.seconds:.0f} s"
        sys.stderr.write(f" {name}: {taken} ")
