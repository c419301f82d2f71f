"""A runbook whose cells somebody runs by hand, through the kernel that Jupyter sees: the record is that of any run."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from ops_lib.archive.records import Records
from ops_lib.archive.staging import events_of
from ops_lib.archive.verification import verify_archive
from ops_lib.cli import attend
from ops_lib.model.run import Request
from ops_lib.model.target import Login, Target
from ops_lib.notebooks.working_copy import SEAL_CELL
from ops_lib.operations.approve import Yes, approve, is_open
from ops_lib.operations.desk import Desk
from ops_lib.operations.open_lab import Opened
from ops_lib.operations.open_lab import open_lab as write_copies
from ops_lib.operations.recover import recover
from ops_lib.operations.run import run
from ops_lib.operations.waiting import all_waiting

WriteRunbook = Callable[..., Request]
SECONDS = 120
IMPORT = "from ops_lib.runbook import *"
GIVEN = '"metadata": {"tags": ["parameters"]}, "source": "days: int  # how many"'


class Jupyter:
    """What a server of Jupyter's does with a working copy: it starts the kernel that stands in it, and runs cells."""

    def __init__(self, desk: Desk, opened: Opened) -> None:
        self.desk = desk
        self.notebook = json.loads((opened.root / opened.files[0]).read_text())
        specs = KernelSpecManager(kernel_dirs=[str(opened.kernels / "kernels")], ensure_native_kernel=False)
        self.manager = KernelManager(kernel_name="runbook", kernel_spec_manager=specs, shutdown_wait_time=SECONDS)
        own = desk.configuration.parent
        self.manager.start_kernel(cwd=str(opened.root), env={**os.environ, "XDG_CONFIG_HOME": str(own)})
        self.client: BlockingKernelClient = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=SECONDS)

    @property
    def pid(self) -> int:
        """The process that Jupyter takes for the kernel."""
        return int(self.manager.provisioner.pid)

    def execute(self, source: str, cell: str | None = None) -> list[Mapping[str, Any]]:
        """Run a cell as JupyterLab does; the outputs that arrive, each with its type."""
        request = self.ask(source, cell)
        found = self.hear(request)
        while self.client.get_shell_msg(timeout=SECONDS)["parent_header"]["msg_id"] != request:
            pass  # an answer to one of the questions whether it is ready
        return found

    def hear(self, request: str) -> list[Mapping[str, Any]]:
        """What arrives of a request until its kernel is idle."""
        found = []
        while True:
            heard = self.client.get_iopub_msg(timeout=SECONDS)
            if heard["parent_header"].get("msg_id") != request:
                continue
            kind, said = heard["msg_type"], heard["content"]
            if kind == "status" and said["execution_state"] == "idle":
                break
            if kind in ("stream", "display_data", "execute_result", "error"):
                found.append({"type": kind, **said})
        return found

    def ask(self, source: str, cell: str | None) -> str:
        """Ask for a cell to be run, without waiting for it."""
        content = {"code": source, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        message = self.client.session.msg("execute_request", content, metadata={"cellId": cell})
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def run_all(self) -> list[str]:
        """Every code cell of the working copy, the last one included, all at once as JupyterLab does; their fates."""
        cells = [cell for cell in self.notebook["cells"] if cell["cell_type"] == "code"]
        asked = [self.ask("".join(cell["source"]), cell["id"]) for cell in cells]
        replies: dict[str, str] = {}
        while not replies.keys() >= set(asked):
            reply = self.client.get_shell_msg(timeout=SECONDS)
            replies[reply["parent_header"]["msg_id"]] = reply["content"]["status"]
        self.hear(asked[-1])
        return [replies[request] for request in asked]

    def close(self) -> None:
        """Close the kernel, as Jupyter does when its notebook is shut down."""
        if self.client.channels_running:
            self.client.stop_channels()
            self.manager.shutdown_kernel()


@pytest.fixture
def open_lab(desk: Desk) -> Iterator[Callable[[Request], Jupyter]]:
    """Opens a runbook; what is still open at the end is closed."""
    opened: list[Jupyter] = []

    def open_it(request: Request, at: Desk = desk) -> Jupyter:
        command = [sys.executable, "-m", attend.__name__]
        opened.append(Jupyter(at, write_copies(at, request, at.configuration.parent / "lab", command)))
        return opened[-1]

    yield open_it
    for jupyter in opened:
        jupyter.close()


def record_of(desk: Desk) -> tuple[Path, dict[str, Any]]:
    """The only record that there is."""
    records = Records(desk.archive)
    (folder,) = records.newest_first()
    return folder, records.read(folder)


def test_the_same_cells_give_the_same_record(
    desk: Desk, write_runbook: WriteRunbook, open_lab: Callable[[Request], Jupyter]
) -> None:
    """Statuses, outputs and notebook are those of a headless run, and the archive verifies."""
    request = write_runbook(IMPORT, "print(days * 2)", "note('seen')", declares="days: int = 1  # how many")
    headless = run(desk, request)
    jupyter = open_lab(request)
    assert set(jupyter.run_all()) == {"ok"}
    folder = next(Records(desk.archive).newest_first())
    record = Records(desk.archive).read(folder)
    assert folder != headless.folder
    for name in ("outcome", "error", "parameters", "findings", "steps", "runbook", "hidden", "metrics"):
        assert record[name] == headless.record[name], name
    same = ("id", "heading", "status")
    assert [[cell[name] for name in same] for cell in record["cells"]] == [
        [cell[name] for name in same] for cell in headless.record["cells"]
    ]
    assert sources(folder) == sources(headless.folder)
    assert verify_archive(desk.archive).faults == ()
    heard = jupyter.execute("1", "c0")
    assert "this run is sealed" in heard[0]["evalue"]


def sources(folder: Path) -> list[tuple[str, Any]]:
    """Source and outputs of each cell."""
    cells = json.loads((folder / "notebook.ipynb").read_bytes())["cells"]
    return [("".join(cell["source"]), _comparable(cell.get("outputs"))) for cell in cells]


def _comparable(outputs: Any) -> Any:
    return [{k: v for k, v in output.items() if k != "execution_count"} for output in outputs or []]


def test_without_a_name_all_are_opened(desk: Desk, write_runbook: WriteRunbook) -> None:
    """Each in a copy of its own; the kernel knows by the notebook's name which one it attends to."""
    request = write_runbook("1")
    first = desk.runbooks[0] / "tst-001-a-test.ipynb"
    (desk.runbooks[0] / "tst-002-too.ipynb").write_text(first.read_text().replace("TST-001", "TST-002"))
    needs_more = first.read_text().replace("TST-001", "TST-003").replace('"metadata": {}, "source": "1"', GIVEN)
    (desk.runbooks[0] / "tst-003-needs-more.ipynb").write_text(needs_more)
    warned: list[str] = []
    opened = write_copies(replace(desk, warn=warned.append), replace(request, runbook=""), desk.cwd / "lab", ["kernel"])
    assert opened.files == ("tst-001-a-test.ipynb", "tst-002-too.ipynb")
    assert "TST-003 is left out: days is required" in warned[0]
    requests = json.loads((opened.root.parent / "requests.json").read_text())
    name = attend.notebook_of({"JPY_SESSION_NAME": "tst-002-too.ipynb"})
    assert requests[name]["request"]["runbook"] == "TST-002"
    copied = json.loads((opened.root / "tst-002-too.ipynb").read_text())
    assert copied["metadata"]["kernelspec"]["name"] == "runbook"
    assert copied["cells"][-1]["source"] == "seal()"


def test_what_waits_does_not_run_after_a_failure(
    desk: Desk, write_runbook: WriteRunbook, open_lab: Callable[[Request], Jupyter]
) -> None:
    """All cells were asked for at once; those after the one that failed are aborted, and so is the seal."""
    jupyter = open_lab(write_runbook(IMPORT, "1 / 0", "2"))
    assert jupyter.run_all() == ["ok", "error", "aborted", "aborted"]
    jupyter.close()
    _, record = record_of(desk)
    assert (record["outcome"], record["error"]["type"]) == ("failed", "ZeroDivisionError")
    assert [cell["status"] for cell in record["cells"]] == ["ok", "failed", "not-run"]


def test_who_only_looks_leaves_no_record(
    desk: Desk, write_runbook: WriteRunbook, open_lab: Callable[[Request], Jupyter]
) -> None:
    """Opened and closed without a cell that ran."""
    jupyter = open_lab(write_runbook("1"))
    jupyter.close()
    assert not desk.archive.exists()


def test_what_is_not_as_reviewed_is_marked(
    desk: Desk, write_runbook: WriteRunbook, open_lab: Callable[[Request], Jupyter]
) -> None:
    """A changed cell, one that was run again, and one that was added; the reviewed source stands beside the changed."""
    jupyter = open_lab(write_runbook(IMPORT, "1", "2"))
    jupyter.execute(IMPORT, "c0")
    jupyter.execute("1 + 1", "c1")
    jupyter.execute("1", "c1")
    jupyter.execute("'by hand'", "new")
    jupyter.close()
    folder, record = record_of(desk)
    marks = [(cell["id"], cell["status"], cell.get("deviates")) for cell in record["cells"]]
    assert marks == [
        ("c0", "ok", None), ("c1", "ok", "changed"), ("c1-2", "ok", "run again"), ("new", "ok", "added"),
        ("c2", "not-run", None),
    ]  # fmt: skip
    assert record["outcome"] == "interrupted"
    notebook = json.loads((folder / "notebook.ipynb").read_bytes())
    cells = {cell["id"]: cell for cell in notebook["cells"]}
    assert cells["c1"]["metadata"]["runbook"]["reviewed"] == "1"
    assert [cells[name]["outputs"][0]["data"]["text/plain"] for name in ("c1", "c1-2", "new")] == [
        "2",
        "1",
        "'by hand'",
    ]
    executed = [event["source"] for event in events_of(folder) if event["kind"] == "source"]
    assert executed == [IMPORT, "1 + 1", "1", "'by hand'"]
    assert "changed, not as reviewed" in (folder / "report.html").read_text()


def test_a_secret_reaches_neither_the_browser_nor_the_record(
    desk: Desk, write_runbook: WriteRunbook, open_lab: Callable[[Request], Jupyter]
) -> None:
    """Printed in pieces, shown as a result, and in an error, of which Jupyter hears twice."""
    jupyter = open_lab(write_runbook("1"))
    jupyter.execute(f"{IMPORT}\nword = secret('-'.join(['very', 'hush', 'hush']))", "a")
    heard = jupyter.execute("print('very-', end='', flush=True); print('hush-hush')", "b")
    heard += jupyter.execute("word", "c") + jupyter.execute("raise ValueError(word)", "d")
    assert heard
    assert "hush-hush" not in json.dumps(heard)
    jupyter.execute("seal()", SEAL_CELL)
    folder, record = record_of(desk)
    stored = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"very-hush-hush" not in stored
    assert record["hidden"]["count"] >= 3


def test_a_step_is_not_done_twice_by_accident(
    desk: Desk, write_runbook: WriteRunbook, open_lab: Callable[[Request], Jupyter], tmp_path: Path
) -> None:
    """Its cell is run again, and the step refuses to act."""
    act = f"step('apply', lambda: open({str(tmp_path / 'done')!r}, 'a').write('x'))"
    jupyter = open_lab(write_runbook(IMPORT, act))
    jupyter.execute(IMPORT, "c0")
    assert jupyter.execute(act, "c1")[0]["type"] == "execute_result"
    heard = jupyter.execute(act, "c1")
    assert "begun before in this run" in heard[-1]["evalue"]
    assert (tmp_path / "done").read_text() == "x"


def test_an_approval_lets_the_cell_that_asked_go_on(
    desk: Desk, database: Login, write_runbook: WriteRunbook, open_lab: Callable[[Request, Desk], Jupyter]
) -> None:
    """The run waits with its kernel; after a yes the same cell is run again, and the record has who said it."""
    targets = desk.cwd / "infrastructure/targets.yaml"
    targets.parent.mkdir(exist_ok=True)
    dsn = " ".join(f"{name}={value}" for name, value in database.keywords.items())
    (desk.cwd / "password").write_text(database.password or "")
    known = {"kind": "postgres", "dsn": dsn, "password_from": f"file:{desk.cwd / 'password'}"}
    targets.write_text(json.dumps({"demo": {**known, "approvals": 1}}))
    wanted = Target(name="demo", dsn=dsn, approvals=1)
    guarded = replace(desk, targets={"demo": wanted}, reach=lambda *_: database)
    start = f"{IMPORT}\ndatabase = target()"
    cells = (start, "p = plan('CREATE TABLE made ()')\np", "approved(p)", "step('apply', p.apply)")
    request = write_runbook(*cells, front="needs: [target:postgres]", hazard="changes")
    jupyter = open_lab(request, guarded)
    for number, source in enumerate(cells[:2]):
        assert [heard for heard in jupyter.execute(source, f"c{number}") if heard["type"] == "error"] == []
    assert "demands the approval of one person" in jupyter.execute(cells[2], "c2")[-1]["evalue"]
    (found,) = all_waiting(guarded)
    approve(replace(guarded, who="ben"), found, Yes())
    assert is_open(guarded, found.run_id)
    for number, source in enumerate(cells[2:], start=2):
        assert [heard for heard in jupyter.execute(source, f"c{number}") if heard["type"] == "error"] == []
    assert all_waiting(guarded) == []
    jupyter.execute("seal()", SEAL_CELL)
    _, record = record_of(desk)
    assert (record["outcome"], [said["who"] for said in record["approvals"]]) == ("succeeded", ["ben"])


def test_the_death_of_the_kernel_seals(
    desk: Desk, write_runbook: WriteRunbook, open_lab: Callable[[Request], Jupyter]
) -> None:
    """The supervisor outlives it, and says so in the record."""
    jupyter = open_lab(write_runbook("1", "import os; print('last words', flush=True); os.kill(os.getpid(), 9)"))
    jupyter.execute("1", "c0")
    jupyter.ask(jupyter.notebook["cells"][-3]["source"], "c1")
    os.waitid(os.P_PID, jupyter.pid, os.WEXITED | os.WNOWAIT)
    _, record = record_of(desk)
    assert (record["outcome"], record["error"]["type"]) == ("failed", "KernelDied")
    assert [cell["status"] for cell in record["cells"]] == ["ok", "failed"]


def test_the_death_of_the_supervisor_is_found_by_the_next_command(
    desk: Desk, write_runbook: WriteRunbook, open_lab: Callable[[Request], Jupyter]
) -> None:
    """Recovery seals what had been run, changed cells included."""
    jupyter = open_lab(write_runbook("1", "2"))
    jupyter.execute("1 + 1", "c0")
    os.kill(jupyter.pid, signal.SIGKILL)
    os.waitid(os.P_PID, jupyter.pid, os.WEXITED | os.WNOWAIT)
    assert len(recover(desk).sealed) == 1
    folder, record = record_of(desk)
    assert record["outcome"] == "interrupted"
    assert record["cells"][0]["deviates"] == "changed"
    assert "1 + 1" in json.dumps(sources(folder))
    assert verify_archive(desk.archive).faults == ()
