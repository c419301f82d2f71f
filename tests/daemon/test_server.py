"""The daemon as its clients meet it: one that is alike, private, and gone when it is of no use."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops_lib.daemon import client
from tests.eventually import eventually

RUNBOOK = Path(sys.executable).with_name("runbook")


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """What a client has: a home folder of its own, and one kernel that waits."""
    home = Path(tempfile.mkdtemp(prefix="ops-home-"))
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TERM") if name in os.environ}
    given = {**kept, "HOME": str(home), "RUNBOOK_WARM_KERNELS": "1"}
    yield given
    runbook(given, "daemon", "stop")
    shutil.rmtree(home, ignore_errors=True)


def runbook(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """One command to its end."""
    return subprocess.run(
        [RUNBOOK, *arguments], env=environment, cwd=environment["HOME"], capture_output=True, text=True, timeout=120,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def started(environment: dict[str, str]) -> int:
    """The process id of the daemon, once it can be called."""
    address = client.address(environment)
    if not any(path.stem == address.stem for _, path in client.daemons(environment)):
        client.start(environment)
    assert eventually(address.exists)
    return next(pid for pid, path in client.daemons(environment) if path.stem == address.stem)


def test_a_second_one_is_not_needed(environment: dict[str, str]) -> None:
    """Who cannot get the lock ends at once, and the first one stays."""
    pid = started(environment)
    second = subprocess.run(
        [sys.executable, "-P", "-m", "ops_lib.cli.main", "daemon", client.SERVE], env=environment, cwd="/", check=False,
        timeout=60,
    )  # fmt: skip
    assert second.returncode == 0
    assert json.loads(runbook(environment, "daemon", "status", "--json").stdout) == {"running": [pid]}


def test_its_folder_and_sockets_are_private(environment: dict[str, str]) -> None:
    """Nobody else may connect, and a client does not trust a folder that others can write to."""
    started(environment)
    folder = client.folder(environment)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in folder.iterdir()} == {0}
    folder.chmod(0o770)
    try:
        assert client.hand_over(["run", "X"], environment) is None
    finally:
        folder.chmod(0o700)


def test_it_keeps_nothing_of_its_starter(environment: dict[str, str], tmp_path: Path) -> None:
    """Neither its folder nor its files nor its secrets nor its terminal."""
    runbook(environment, "daemon", "stop")
    pid = started({**environment, "PGPASSWORD": "open-sesame"})
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    assert {str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in (0, 1, 2)} == {os.devnull}
    assert b"open-sesame" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert os.getsid(pid) == pid


def test_it_is_one_thread(environment: dict[str, str]) -> None:
    """So a fork is clean."""
    pid = started(environment)
    assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1


@pytest.mark.parametrize("how", ["stop", "the folder vanishes", "kill -9"])
def test_no_process_is_left(environment: dict[str, str], how: str) -> None:
    """However it ends, the fork server and the kernels that waited end with it."""
    pid = started(environment)
    address = client.address(environment)
    assert eventually(lambda: address.with_suffix(".kernels").exists())
    group = processes_of(environment)
    assert pid in group
    if how == "stop":
        assert runbook(environment, "daemon", "stop").stdout == f"stopped: process {pid}\n"
    elif how == "kill -9":
        os.kill(pid, signal.SIGKILL)
    else:
        shutil.rmtree(address.parent)
    assert eventually(lambda: not processes_of(environment))
    assert runbook(environment, "daemon", "status").stdout == "no daemon is running\n"


def processes_of(environment: dict[str, str]) -> set[int]:
    """Every process that has this home folder."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"HOME={environment['HOME']}\0".encode() in (path / "environ").read_bytes():
                found.add(int(path.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(("said", "code"), [(b"", None), (client.BEGUN, 1), (client.BEGUN + b"\x07", 7)])
def test_what_a_daemon_has_not_begun_is_run_here(said: bytes, code: int | None) -> None:
    """One that ends with a command in its hand has run nothing of it until it says that it begins."""
    with tempfile.TemporaryDirectory(prefix="ops-home-") as home:
        environment = {"HOME": home}
        address = client.address(environment)
        address.parent.mkdir(mode=0o700, parents=True)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(address))
            listening.listen()

            def answer() -> None:
                caller, _ = listening.accept()
                caller.recv(int.from_bytes(caller.recv(8), "big"), socket.MSG_WAITALL)
                caller.sendall(said)
                caller.close()

            threading.Thread(target=answer, daemon=True).start()
            assert client.hand_over(["run", "X"], environment) == code


def test_a_request_arrives_as_it_was_sent() -> None:
    """Words, variables and umask, also where they are empty or no text."""
    sent = (["run", "", "-p", "name=\udcff é\n"], {"EMPTY": "", "TWO": "a=b", "BYTES": "\udcfe"}, 0o027)
    assert client.unpacked(client.packed(*sent)) == sent


def test_the_client_loads_next_to_nothing() -> None:
    """What it imports, every run waits for."""
    code = f"import sys; sys.path += {sys.path}; import ops_lib.cli.main; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    heavy = {"argparse", "contextlib", "hashlib", "json", "pathlib", "socket", "typing", "urllib"}
    assert not heavy & set(shown.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "more", "wanted"),
    [
        (["run", "SOP-004"], {}, True),
        (["run", "SOP-004", "--no-daemon"], {}, False),
        (["run", "SOP-004"], {"RUNBOOK_NO_DAEMON": "1"}, False),
        (["run", "SOP-004"], {"RUNBOOK_RUN_ID": "01"}, False),
        (["run", "--help"], {}, False),
        (["list"], {}, False),
        ([], {}, False),
    ],
)
def test_which_commands_are_handed_over(arguments: list[str], more: dict[str, str], wanted: bool) -> None:
    """Runs only, and none that a run started: that one ends with the run that it is a part of."""
    assert client.wanted(arguments, more) is wanted
