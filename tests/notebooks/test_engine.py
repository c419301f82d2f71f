"""The engine as papermill's own users have it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import nbformat

from tests.eventually import eventually
from tests.notebooks.warmth import alive

ALONE = {**os.environ, "RUNBOOK_NO_DAEMON": "1"}
"""So that nothing is started in the home of whoever runs the tests."""

PAPERMILL = [str(Path(sys.executable).with_name("papermill")), "--engine", "runbook", "--no-progress-bar"]


def write(path: Path, *cells: str) -> Path:
    """A notebook of some code cells, the first of which is its parameters."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.cells[0].metadata["tags"] = ["parameters"]
    notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(notebook, path)
    return path


def papermill(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run papermill with our engine to its end."""
    return subprocess.run(
        [*PAPERMILL, "in.ipynb", "out.ipynb", *arguments], cwd=folder, capture_output=True, text=True, check=False,
        timeout=180, env=ALONE,
    )  # fmt: skip


def test_papermill_executes_with_our_engine(tmp_path: Path) -> None:
    """Parameters in, outputs out."""
    write(tmp_path / "in.ipynb", "x = 1", "print(x * 2)", "x")
    done = papermill(tmp_path, "-p", "x", "21")
    assert done.returncode == 0, done.stderr
    cells = [cell for cell in nbformat.read(tmp_path / "out.ipynb", as_version=4).cells if cell.cell_type == "code"]
    assert cells[2].outputs[0]["text"] == "42\n"
    assert cells[3].outputs[0]["data"]["text/plain"] == "21"
    assert [cell.metadata.papermill.status for cell in cells] == ["completed"] * 4


def test_a_failed_cell_is_papermills_failure(tmp_path: Path) -> None:
    """Exit code, traceback and later cells as papermill has them; the later cells stay pending."""
    write(tmp_path / "in.ipynb", "x = 1", "raise ValueError('boo')", "print('after')")
    done = papermill(tmp_path)
    assert done.returncode == 1
    assert "ValueError: boo" in done.stderr
    cells = [c for c in nbformat.read(tmp_path / "out.ipynb", as_version=4).cells if c.cell_type == "code"]
    assert [cell.metadata.papermill.status for cell in cells] == ["completed", "failed", "pending"]


def test_a_kernel_dies_with_its_owner(tmp_path: Path) -> None:
    """kill -9 of papermill leaves neither the kernel nor what it started, even in a session of its own."""
    begun = tmp_path / "begun"
    start = "import os, subprocess\nchild = subprocess.Popen(['setsid', 'sleep', '8642'])\n"
    write(tmp_path / "in.ipynb", "x = 1", start + f"open({str(begun)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
          "import time; time.sleep(600)")  # fmt: skip
    owner = subprocess.Popen(
        [*PAPERMILL, "in.ipynb", "out.ipynb"], cwd=tmp_path, env=ALONE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert eventually(lambda: begun.exists() and len(begun.read_text().split()) == 2, 180)
    pids = [int(word) for word in begun.read_text().split()]
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    assert eventually(lambda: not any(alive(pid) for pid in pids))


def test_the_engine_is_registered() -> None:
    """papermill knows it by name, and importing papermill does not import our engine."""
    code = (
        "import json, sys; from papermill.engines import papermill_engines as e; "
        "print(json.dumps([e.get_engine('runbook') is not None, 'ops_lib.notebooks.engine' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [True, False]
