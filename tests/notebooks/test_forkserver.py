"""Kernels that wait: what a claim gives, and that nothing of one outlives its owner, whichever process is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbclient.exceptions import DeadKernelError

from ops_lib.model.run import RUN_VARIABLE
from ops_lib.notebooks import keeper, likeness
from ops_lib.notebooks.claim import NearestKernel, NoneWaits
from ops_lib.notebooks.wire import Wire
from tests.eventually import eventually
from tests.notebooks.warmth import RUN, Server, alive, fork_server, of_run, said, scratch

STRAY = "import subprocess; print(subprocess.Popen(['setsid', 'sleep', '8643']).pid)"
"""A process in a session of its own, which a signal to the group would miss."""


@pytest.fixture(scope="module")
def forks() -> Iterator[Server]:
    """A fork server with one kernel that waits."""
    with fork_server(1) as server:
        yield server


def waiting(server: Server) -> bool:
    """Whether a kernel has been made and not been claimed."""
    return any((folder / "connection.json").exists() for folder in server.folder.iterdir() if folder.is_dir())


def test_a_claimed_kernel_is_where_and_what_the_run_is(
    forks: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folder, environment and umask are the claimant's; /proc names the run in every process of it."""
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o027)
    place = scratch()
    kernel = forks.claim(place, COLOUR="blue")
    wire = Wire(kernel.start(), kernel.ended)
    try:
        wire.ready(30)
        told = said(wire, "import os; print(os.getcwd(), os.environ['COLOUR'], oct(os.umask(0o027)), os.getpid())")
        folder, colour, mask, pid = told.split()
        assert (folder, colour, mask) == (str(tmp_path), "blue", "0o27")
        forked = int(said(wire, "pid = os.fork()\nif not pid:\n    import time; time.sleep(600)\nprint(pid)"))
        assert {int(pid), forked} <= set(of_run())
        assert len(of_run()) == 3, "and the keeper"
    finally:
        os.umask(before)
        wire.close()
        assert kernel.end()
    assert of_run() == []
    assert not place.exists()


def test_what_a_fork_would_share_it_does_not(forks: Server) -> None:
    """Two kernels draw different random numbers, and sign with different keys."""
    drawn, keys = set(), set()
    for _ in range(2):
        kernel = forks.claim(scratch())
        connection = kernel.start()
        wire = Wire(connection, kernel.ended)
        wire.ready(30)
        drawn.add(said(wire, "import numpy, random, uuid; print(numpy.random.rand(), random.random(), uuid.uuid4())"))
        keys.add(connection["key"])
        wire.close()
        kernel.end()
    assert (len(drawn), len(keys)) == (2, 2)
    first, second = (text.split() for text in drawn)
    assert not set(first) & set(second)


def test_an_interrupt_reaches_the_cell_only(forks: Server) -> None:
    """The cell is interrupted, and the kernel goes on."""
    kernel = forks.claim(scratch())
    wire = Wire(kernel.start(), kernel.ended)
    wire.ready(30)
    sleeps = "try:\n    print('begun', flush=True); time.sleep(60)\nexcept KeyboardInterrupt:\n    print('heard')"
    code = f"import time\n{sleeps}"
    request = wire.request("execute_request", {"code": code, "silent": False, "allow_stdin": False})
    seen = ""
    while "heard" not in seen:
        got = wire.next(time.monotonic() + 30)
        assert got
        if got[1]["msg_type"] == "stream" and got[1]["parent_header"]["msg_id"] == request:
            seen += got[1]["content"]["text"]
            if seen == "begun\n":
                kernel.interrupt()
    assert said(wire, "print(6 * 7)") == "42\n"
    wire.close()
    kernel.end()


@pytest.mark.parametrize("victim", ["kernel", "keeper", "server"])
def test_a_kill_leaves_nothing(victim: str) -> None:
    """kill -9 of the kernel, of its keeper, or of the fork server: the run ends or goes on, and nothing stays."""
    with fork_server(1) as forks:
        kernel = forks.claim(scratch())
        wire = Wire(kernel.start(), kernel.ended)
        wire.ready(30)
        stray = int(said(wire, STRAY))
        pid, parent = map(int, said(wire, "import os; print(os.getpid(), os.getppid())").split())
        os.kill({"kernel": pid, "keeper": parent, "server": forks.process.pid}[victim], signal.SIGKILL)
        if victim == "server":
            assert said(wire, "print('goes on')") == "goes on\n"
        else:
            with pytest.raises(DeadKernelError):
                said(wire, "import time; time.sleep(600)")
        wire.close()
        if not kernel.end():
            keeper.kill_strays(RUN_VARIABLE, RUN)
        assert eventually(lambda: not any(map(alive, (pid, parent, stray))))
        assert of_run() == []


def test_a_killed_claimant_takes_its_kernel_with_it(forks: Server, tmp_path: Path) -> None:
    """kill -9 of whoever claimed it: kernel, keeper and what they started are gone."""
    told = tmp_path / "told"
    code = f"""
import os, time
from pathlib import Path
from ops_lib.notebooks.wire import Wire
from tests.notebooks.warmth import Server, said, scratch
kernel = Server(process=None, folder=Path({str(forks.folder)!r})).claim(scratch())
wire = Wire(kernel.start(), kernel.ended)
wire.ready(30)
Path({str(told)!r}).write_text(said(wire, {STRAY!r}) + said(wire, "import os; print(os.getpid(), os.getppid())"))
time.sleep(600)
"""
    claimant = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    assert eventually(lambda: told.exists() and len(told.read_text().split()) == 3)
    pids = [int(word) for word in told.read_text().split()]
    assert all(map(alive, pids))
    claimant.kill()
    claimant.wait()
    assert eventually(lambda: not any(map(alive, pids)))


def test_waiting_kernels_end_with_the_fork_server() -> None:
    """kill -9 of the fork server: the kernels that waited are gone, with their folders."""
    with fork_server(2) as forks:
        assert eventually(lambda: waiting(forks))
        below = keeper.descendants(forks.process.pid)
        assert below
        forks.process.kill()
        assert eventually(lambda: not any(map(alive, below)))
        assert eventually(lambda: not waiting(forks))


def test_an_empty_pool_makes_a_kernel_at_once() -> None:
    """More claims than kernels wait: all are served, and one is kept waiting again afterwards."""
    with fork_server(1) as forks:
        kernels = [forks.claim(scratch(), run_id=f"01KGC2V5T5Z8Q4M1F3W9X7R2A{n}") for n in range(3)]
        wires = [Wire(kernel.start(), kernel.ended) for kernel in kernels]
        assert [said(wire, f"print({n})") for n, wire in enumerate(wires) if wire.ready(30)] == ["0\n", "1\n", "2\n"]
        for wire, kernel in zip(wires, kernels, strict=True):
            wire.close()
            assert kernel.end()
        assert eventually(lambda: waiting(forks))


def test_where_none_waits_a_kernel_is_started(tmp_path: Path) -> None:
    """No fork server, a refusal, a dead socket: the run does not notice."""
    given = {**os.environ, RUN_VARIABLE: RUN}
    kernel = NearestKernel(tmp_path / "nowhere", scratch(), given, variable=RUN_VARIABLE)
    wire = Wire(kernel.start(), kernel.ended)
    wire.ready(60)
    assert said(wire, "print('started')") == "started\n"
    wire.close()
    assert kernel.end()
    assert of_run() == []


def test_a_claim_of_what_has_ended_is_refused_at_once() -> None:
    """The socket is there, and nobody listens any more."""
    with fork_server(1) as forks:
        assert eventually(lambda: waiting(forks))
        forks.process.kill()
        forks.process.wait()
        assert eventually(lambda: not waiting(forks))
        with pytest.raises(NoneWaits):
            forks.claim(scratch()).start()


def test_likeness_notices_what_a_fresh_process_would(tmp_path: Path) -> None:
    """A setting that is read at start changes the key; one that a run reads later does not."""
    key = likeness.key({"HOME": "/a", "PGHOST": "one"})
    assert key == likeness.key({"HOME": "/a", "PGHOST": "two", "RUNBOOK_TARGET": "x"})
    assert key != likeness.key({"HOME": "/b"})
    assert key != likeness.key({"HOME": "/a", "PYTHONPATH": "/x"})


def test_likeness_notices_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution that comes, one that is replaced by the same version, and a path file that is edited."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    keys = [likeness.key({})]
    (folder / "one-1.dist-info").mkdir()
    keys.append(likeness.key({}))
    os.utime(folder, ns=(0, 0))
    keys.append(likeness.key({}))
    (folder / "one.pth").write_text("/somewhere")
    keys.append(likeness.key({}))
    (folder / "one.pth").write_text("/elsewhere")
    os.utime(folder / "one.pth", ns=(0, 0))
    keys.append(likeness.key({}))
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("name", "shadows"),
    [("json.py", True), ("json", False), ("matplotlibrc", True), ("notes.txt", False), ("json.txt", False)],
)
def test_what_shadows_a_module(tmp_path: Path, name: str, shadows: bool) -> None:
    """A module, not a folder or a file of any other kind."""
    (tmp_path / name).mkdir() if name == "json" else (tmp_path / name).write_text("")
    assert likeness.shadowed(str(tmp_path), sys.modules) is shadows
