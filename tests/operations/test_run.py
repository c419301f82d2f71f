"""The life of a run: every way in which it can end leaves the record that it should."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ops_lib.archive.locks import PLACES, hold, impatient
from ops_lib.archive.verification import verify_archive
from ops_lib.model.errors import BadParameter, BadRunbook, BadTarget, Refused, TargetUnreachable
from ops_lib.model.run import RUN_VARIABLE, Outcome, Request
from ops_lib.model.target import Login
from ops_lib.operations.desk import Desk
from ops_lib.operations.run import Sealed, run
from ops_lib.operations.supervisor import Supervisor
from ops_lib.postgres.alone import alone
from ops_lib.postgres.connection import connect, end_sessions

WriteRunbook = Callable[..., Request]
ASK = "import os; from ops_lib.notebooks.channel import Client; ask = Client(os.environ['RUNBOOK_CHANNEL']).ask\n"


def statuses(sealed: Sealed) -> list[str]:
    """What became of each cell."""
    return [cell["status"] for cell in sealed.record["cells"]]


def bytes_of(folder: Path) -> bytes:
    """Everything that a record stores."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def outputs(sealed: Sealed, cell: str) -> list[Mapping[str, Any]]:
    """The outputs of a cell as the record's notebook has them."""
    notebook = json.loads((sealed.folder / "notebook.ipynb").read_bytes())
    found: list[Mapping[str, Any]] = next(item["outputs"] for item in notebook["cells"] if item["id"] == cell)
    return found


def test_a_run_that_succeeds(desk: Desk, write_runbook: WriteRunbook) -> None:
    """Parameters are bound, outputs kept, who and why recorded, and the archive verifies."""
    request = write_runbook("print(days * 2)", "days", declares="days: int = 1  # how many (1 to 9)")
    sealed = run(desk, replace(request, parameters={"days": "3"}, reason="to see", ticket="T-1"))
    record = sealed.record
    assert record["outcome"] == "succeeded"
    assert statuses(sealed) == ["ok"] * 4
    assert record["parameters"] == {"days": 3}
    assert (record["reason"], record["ticket"], record["cause"]["who"]) == ("to see", "T-1", "ana")
    assert outputs(sealed, "c0") == [{"output_type": "stream", "name": "stdout", "text": "6\n"}]
    assert outputs(sealed, "c1")[0]["data"]["text/plain"] == "3"
    assert verify_archive(desk.archive).faults == ()


def test_a_cell_that_raises(desk: Desk, write_runbook: WriteRunbook) -> None:
    """The run failed there; what came before is kept, what comes after did not run."""
    sealed = run(desk, write_runbook("print('before')", "raise ValueError('boo')", "print('after')"))
    assert sealed.record["outcome"] == "failed"
    assert sealed.record["error"] == {"type": "ValueError", "message": "boo", "hint": None, "cell": "c1"}
    assert statuses(sealed) == ["ok", "failed", "not-run"]
    assert outputs(sealed, "c0")[0]["text"] == "before\n"


def test_a_precondition_that_does_not_hold_refuses(desk: Desk, write_runbook: WriteRunbook) -> None:
    """A gate in a cell is a refusal, not a failure, and its hint is kept."""
    cell = "from ops_lib.model.errors import Refused\nraise Refused('no backup', hint='take one')"
    sealed = run(desk, write_runbook(cell))
    assert sealed.record["outcome"] == "refused"
    assert sealed.record["error"]["message"] == "no backup"
    assert sealed.record["error"]["hint"] == "take one"


def test_a_kernel_that_dies(desk: Desk, write_runbook: WriteRunbook) -> None:
    """The run failed, and no later cell counts as done."""
    sealed = run(desk, write_runbook("print('before', flush=True)", "import os; os.kill(os.getpid(), 9)", "1"))
    assert sealed.record["outcome"] == "failed"
    assert sealed.record["error"]["type"] == "KernelDied"
    assert statuses(sealed) == ["ok", "failed", "not-run"]


def test_a_deadline_ends_a_cell_that_does_not_listen(desk: Desk, write_runbook: WriteRunbook) -> None:
    """Neither a swallowed interrupt nor a child in a session of its own outlives the run."""
    stubborn = (
        "import subprocess, time\nchild = subprocess.Popen(['setsid', 'sleep', '7531'])\nprint('began', flush=True)\n"
        "while True:\n    try:\n        time.sleep(60)\n    except KeyboardInterrupt:\n        pass"
    )
    sealed = run(desk, write_runbook(stubborn, "1", timeout="3s"))
    assert sealed.record["outcome"] == "timed-out"
    assert statuses(sealed) == ["failed", "not-run"]
    assert outputs(sealed, "c0")[0]["text"] == "began\n"
    assert "sleep\x007531" not in _command_lines()


def _command_lines() -> str:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_text())
        except OSError:
            continue
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"parameters": {"nights": "3"}}, BadParameter),
        ({"parameters": {"days": "three"}}, BadParameter),
        ({"parameters": {"days": "99"}}, BadParameter),
        ({"runbook": "NO-SUCH"}, BadRunbook),
        ({"target": "nowhere"}, BadTarget),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_recorded(
    desk: Desk, write_runbook: WriteRunbook, given: dict[str, Any], error: type[Exception]
) -> None:
    """Bad input leaves no trace in the archive."""
    request = write_runbook("1", declares="days: int = 1  # how many (1 to 9)", **given)
    with pytest.raises(error):
        run(desk, request)
    assert not desk.archive.exists()


def test_a_target_that_does_not_answer_is_a_recorded_refusal(desk: Desk, write_runbook: WriteRunbook) -> None:
    """No kernel is started, and the record says why."""
    login = Login(keywords={"host": "/nonexistent", "dbname": "x", "user": "x"})
    sealed = run(replace(desk, reach=lambda *_: login), write_runbook("1", front="needs: [target:postgres]"))
    assert sealed.record["outcome"] == "refused"
    assert sealed.record["error"]["type"] == TargetUnreachable.__name__
    assert sealed.record["error"]["hint"]
    assert sealed.record["cells"] == []
    assert sealed.record["target"]["name"] == "demo"


def test_a_secret_is_in_no_byte_of_the_record(desk: Desk, write_runbook: WriteRunbook) -> None:
    """Printed, shown, raised, attached, noted, sent as SQL: hidden before it is stored, and counted."""
    tell = ASK + "ask('secret', value='hunter-' + '2-secret'); s = 'hunter-' + '2-secret'"
    leaks = (
        "import base64\nprint(s); print(base64.b64encode(s.encode()))\n"
        "ask('attach', name='a.txt', content=base64.b64encode(s.encode()).decode())\n"
        "ask('note', text=s); ask('statement', sql=f\"ALTER ROLE x PASSWORD '{s}'\", seconds=0.1)\n{'k': s}"
    )
    sealed = run(desk, write_runbook(tell, leaks, "raise ValueError(s)"))
    stored = bytes_of(desk.archive)
    assert b"hunter-2-secret" not in stored
    assert b"aHVudGVyLTItc2VjcmV0" not in stored
    assert sealed.record["hidden"]["count"] >= 6
    assert sealed.record["hidden"]["kinds"] == ["secret"]
    assert "hidden:secret" in sealed.record["error"]["message"]
    assert sealed.record["statements"][0]["sql"] == "ALTER ROLE x PASSWORD '[hidden:secret]'"


def test_a_targets_password_is_hidden(desk: Desk, write_runbook: WriteRunbook) -> None:
    """Also in what is refused before the first cell."""
    login = Login(keywords={"host": "/nonexistent/pa55-word!", "user": "x"}, password="pa55-word!")
    sealed = run(replace(desk, reach=lambda *_: login), write_runbook("1", front="needs: [target:postgres]"))
    assert sealed.record["outcome"] == "refused"
    assert b"pa55-word!" not in bytes_of(desk.archive)


def test_steps_are_journalled_before_and_after_they_act(desk: Desk, write_runbook: WriteRunbook) -> None:
    """A step that began and did not end is unknown; a name is used once."""
    sealed = run(desk, write_runbook(
        ASK + "ask('step-begin', name='one'); ask('step-end', name='one', status='done', evidence={'rows': 3})",
        ASK + "ask('step-begin', name='two'); import os; os.kill(os.getpid(), 9)",
    ))  # fmt: skip
    steps = sealed.record["steps"]
    assert [(step["name"], step["status"]) for step in steps] == [("one", "done"), ("two", "unknown")]
    assert steps[0]["evidence"] == {"rows": 3}


def test_what_is_too_much_is_cut_and_said(
    desk: Desk, write_runbook: WriteRunbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell that prints without end fills no disk; how much was cut is stated with a digest."""
    monkeypatch.setattr("ops_lib.operations.supervisor.CELL_OUTPUT_LIMIT", 10_000)
    sealed = run(desk, write_runbook("for n in range(200): print('x' * 1000, flush=True)", "print('next')"))
    assert sealed.record["outcome"] == "succeeded"
    text = "".join(output["text"] for output in outputs(sealed, "c0"))
    assert len(text) < 12_000
    assert "cut here" in text
    assert "sha256" in text
    assert outputs(sealed, "c1")[0]["text"] == "next\n"


@pytest.mark.parametrize("name", ["../escaped", "/etc/x", "", ".hidden", "a/b", "x" * 200])
def test_attachments_stay_in_their_folder(desk: Desk, write_runbook: WriteRunbook, name: str) -> None:
    """A name is a name, never a path."""
    sealed = run(desk, write_runbook(ASK + f"ask('attach', name={name!r}, content='aGk=')"))
    assert sealed.record["outcome"] == "failed"
    assert sealed.record["error"]["type"] == "BadInput"


def test_display_updates_and_clearing_are_kept_as_jupyter_shows_them(desk: Desk, write_runbook: WriteRunbook) -> None:
    """What a person would see in JupyterLab is what the record shows."""
    cell = (
        "from IPython.display import clear_output, display\nprint('gone'); clear_output()\n"
        "h = display('one', display_id=True); h.update('two')"
    )
    sealed = run(desk, write_runbook(cell))
    (only,) = outputs(sealed, "c0")
    assert only["data"]["text/plain"] == "'two'"


def test_the_lines_of_a_cell_may_stand_apart(desk: Desk, write_runbook: WriteRunbook) -> None:
    """As Jupyter stores them."""
    request = write_runbook("x = 1\nx")
    (file,) = desk.runbooks[0].glob("*.ipynb")
    notebook = json.loads(file.read_text())
    for cell in notebook["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)
    file.write_text(json.dumps(notebook))
    assert run(desk, request).record["outcome"] == "succeeded"


def test_runs_at_once_do_not_disturb_one_another(desk: Desk, write_runbook: WriteRunbook) -> None:
    """Three runs in three threads: three records, one chain."""
    request = write_runbook("print('x' * 100)")
    threads = [threading.Thread(target=run, args=(desk, request)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verification = verify_archive(desk.archive)
    assert (verification.records, verification.entries, verification.faults) == (3, 6, ())


def test_one_changing_run_per_target_at_a_time(
    desk: Desk, write_runbook: WriteRunbook, database: Login, tmp_path: Path
) -> None:
    """A second one waits and is told for whom; one that belongs to a run does not wait, and is told the same."""
    desk = replace(desk, reach=lambda *_: database)
    go_on = tmp_path / "go-on"
    waits = (
        "import pathlib, time\nprint('begun', flush=True)\n"
        f"while not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.01)"
    )
    request = write_runbook(waits, front="needs: [target:postgres]", hazard="changes")
    begun, results = threading.Event(), []
    first = threading.Thread(
        target=lambda: results.append(run(desk, request, lambda e: begun.set() if e["kind"] == "output" else None))
    )
    first.start()
    assert begun.wait(30)
    nested = run(replace(desk, environment={**desk.environment, RUN_VARIABLE: "01"}), request)
    assert nested.record["outcome"] == "refused"
    assert "is being changed by run" in nested.record["error"]["message"]
    assert "asked for by ana, since 2" in nested.record["error"]["message"]
    told = []
    second = run(desk, request, lambda e: (told.append(e["behind"]), go_on.touch()) if e["kind"] == "queued" else None)
    first.join(30)
    assert [one.record["outcome"] for one in (results[0], second)] == ["succeeded"] * 2
    assert told[0].startswith(f"run {results[0].record['run_id']} of TST-001, asked for by ana, since 2")
    assert results[0].record["target"]["guard"] == "none"


def test_the_lock_is_kept_on_the_target_too(desk: Desk, write_runbook: WriteRunbook, database: Login) -> None:
    """Another archive, as on another machine, does not get round it; and after the run it is free."""
    request = write_runbook("1", front="needs: [target:postgres]", hazard="changes", timeout="1s")
    desk = replace(desk, reach=lambda *_: database)
    with alone(database, application_name="runbook/SOP-001/ELSEWHERE", patience=impatient):
        kept_out = run(desk, request)
    assert kept_out.record["outcome"] == "refused"
    assert "is being changed by runbook/SOP-001/ELSEWHERE" in kept_out.record["error"]["message"]
    with alone(database, application_name="x", patience=impatient):
        pass


def test_a_step_does_not_begin_once_the_lock_is_lost(desk: Desk, write_runbook: WriteRunbook, database: Login) -> None:
    """The server ended the session that held it, so another run may be changing the target."""
    cells = ("1", "from ops_lib.runbook import *\nstep('apply', lambda: 1)")
    request = write_runbook(*cells, front="needs: [target:postgres]", hazard="changes")
    sessions: list[str] = []

    def lose(event: Mapping[str, Any]) -> None:
        if event["kind"] == "target":
            sessions.append(event["application_name"])
        if event["kind"] == "cell-ended" and event["cell"] == "c0":
            assert end_sessions(database, sessions[0]) == 1

    record = run(replace(desk, reach=lambda *_: database), request, lose).record
    assert record["outcome"] == "refused"
    assert "the lock on" in record["error"]["message"]
    assert record["steps"] == []


def test_a_queue_is_bounded_and_in_order(tmp_path: Path) -> None:
    """So many may wait; who came first is first; one more is refused with who holds it."""
    holder = {"run_id": "R", "runbook": "SOP-001", "who": "ana", "since": "2026"}
    done, go_on, waiting = [], threading.Event(), threading.Semaphore(0)

    def wait(number: int) -> None:
        first = []

        def patience(_: str) -> bool:
            if not first:
                first.append(1)
            elif len(first) == 1:
                first.append(2)
                waiting.release()
            go_on.wait(0.002)
            return True

        with hold(tmp_path, "t", holder, patience):
            done.append(number)

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(PLACES)]
    with hold(tmp_path, "t", holder):
        for thread in threads:
            thread.start()
            assert waiting.acquire(timeout=30)
        with pytest.raises(Refused, match=f"by run R of SOP-001.*, and {PLACES} runs wait"):
            hold(tmp_path, "t", holder, lambda _: True).__enter__()
    for thread in threads:
        thread.join(30)
    assert done == [*range(PLACES)]


def test_ctrl_c_lets_a_step_end(desk: Desk, write_runbook: WriteRunbook) -> None:
    """Once: the step that is going on ends and is done, and nothing begins after it."""
    act = "step('apply', lambda: (print('begun', flush=True), time.sleep(1))[1])"
    request = write_runbook("from ops_lib.runbook import *\nimport time", f"{act}\nstep('more', lambda: 1)")
    supervisors: list[Supervisor] = []

    class Watched(Supervisor):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            supervisors.append(self)

    def stop(event: Mapping[str, Any]) -> None:
        if event["kind"] == "step-began":
            threading.Thread(target=supervisors[0].stop, args=(Outcome.INTERRUPTED,)).start()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ops_lib.operations.run.Supervisor", Watched)
        record = run(desk, request, stop).record
    assert record["outcome"] == "interrupted"
    assert [(step["name"], step["status"]) for step in record["steps"]] == [("apply", "done")]


def test_a_cell_has_a_deadline_of_its_own(desk: Desk, write_runbook: WriteRunbook) -> None:
    """It ends a cell that takes too long, long before the run's own; the record says which."""
    record = run(desk, write_runbook("1", "import time; time.sleep(600)", "1", front="cell_timeout: 3s")).record
    assert record["outcome"] == "timed-out"
    assert (record["error"]["cell"], "a cell reached its deadline of 3s" in record["error"]["message"]) == ("c1", True)
    assert [cell["status"] for cell in record["cells"]] == ["ok", "failed", "not-run"]


def test_a_secret_that_stands_in_a_cell_is_hidden_there_too(desk: Desk, write_runbook: WriteRunbook) -> None:
    """The source of the cell that made it known is stored without it."""
    sealed = run(desk, write_runbook(ASK + "ask('secret', value='geheim-123456')"))
    assert b"geheim-123456" not in bytes_of(sealed.folder)


def test_a_deadline_ends_what_the_database_does(desk: Desk, write_runbook: WriteRunbook, database: Login) -> None:
    """The statement is cancelled, and its session is gone once the run is sealed."""
    asks = "from ops_lib.runbook import *\ntarget().frame('SELECT pg_sleep(25)')"
    request = write_runbook(asks, front="needs: [target:postgres]\ncell_timeout: 3s")
    record = run(replace(desk, reach=lambda *_: database), request).record
    assert record["outcome"] == "timed-out"
    with connect(database, application_name="test") as looking:
        left = looking.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'runbook/TST-001/%'")
        assert left.fetchone() == (0,)
