"""The thin end: hands a command to the daemon of this account, with its files, folder and environment.

What the daemon runs is the same command, in a process of its own that was forked from one with everything imported. It
writes to our terminal itself; we pass on signals and wait for its exit code. Standard library only.
"""

import array
import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ops_lib.notebooks import likeness

FORBIDDEN = "RUNBOOK_NO_DAEMON"
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SERVE = "serve-in-background"
BEGUN = b"\xff"
"""What the daemon says once it has all of a command; where it never did, nothing was run. No exit code is this."""
_ABSENT = (OSError, ValueError)
_ALSO = ("PATH", "USER", "LOGNAME")
_WITHIN_A_RUN = "RUNBOOK_RUN_ID"


def folder(environment: Mapping[str, str]) -> Path:
    """Where the sockets of our daemons are; private, and below the state folder."""
    state = environment.get("XDG_STATE_HOME") or Path(environment.get("HOME") or Path.home()) / ".local/state"
    return Path(state) / "ops-runbooks/daemon"


def address(environment: Mapping[str, str]) -> Path:
    """The socket of the daemon that can stand in for a process with this environment."""
    return folder(environment) / f"{likeness.key(environment)}.runs"


def wanted(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether a command is one for the daemon: a run, unless the person said otherwise.

    One that is started from within a run stays below it, and ends with it.
    """
    told = any(argument.startswith(("-h", "--h", "--no-")) for argument in arguments)
    return [*arguments[:1]] == ["run"] and not told and may_be_used(environment)


def may_be_used(environment: Mapping[str, str]) -> bool:
    """Whether there can be a daemon here, and nobody said otherwise."""
    return sys.platform == "linux" and not environment.get(FORBIDDEN) and _WITHIN_A_RUN not in environment


def hand_over(arguments: Sequence[str], environment: Mapping[str, str]) -> int | None:
    """The exit code of a command that the daemon ran; nothing where there is none that can, or it ended before."""
    with contextlib.ExitStack() as opened:
        try:
            socket_ = opened.enter_context(_dialled(address(environment)))
            here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, here)
            send(socket_, {"arguments": [*arguments], "environment": {**environment}, "umask": _umask()}, here)
        except _ABSENT:
            return None
        return _exit_code(socket_)


def _dialled(path: Path) -> socket.socket:
    """A connection to a socket in a folder that nobody else can write to."""
    held = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    dialled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        status = os.fstat(held)
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise OSError(f"{path.parent} is not private")
        dialled.connect(f"/proc/self/fd/{held}/{path.name}")
    except OSError:
        dialled.close()
        raise
    finally:
        os.close(held)
    return dialled


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def send(to: socket.socket, request: Mapping[str, object], here: int) -> None:
    """The request, with our standard files and our folder."""
    files = array.array("i", (0, 1, 2, here))
    content = json.dumps(request).encode()
    to.sendmsg([len(content).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
    to.sendall(content)


def _exit_code(daemon: socket.socket) -> int | None:
    """Wait, passing on signals; a run that was ended by one of them ends us in the same way."""
    passed: list[int] = []

    def pass_on(number: int, frame: object) -> None:
        passed.append(number)
        with contextlib.suppress(OSError):
            daemon.sendall(bytes((number,)))

    before = {number: signal.signal(number, pass_on) for number in FORWARDED}
    begun, said = _said(daemon) == BEGUN, b""
    if begun:
        said = _said(daemon)
    for number, handler in before.items():
        signal.signal(number, handler)
    if said:
        return said[0]
    if not begun and not passed:
        return None
    if passed:
        signal.signal(passed[0], signal.SIG_DFL)
        os.kill(os.getpid(), passed[0])
    sys.stderr.write("runbook: the process of this run was killed; the next command seals what it left\n")
    return 1


def _said(daemon: socket.socket) -> bytes:
    try:
        return daemon.recv(1)
    except OSError:
        return b""


def start(environment: Mapping[str, str]) -> None:
    """Start the daemon for the next command, detached from everything of ours; it ends where one is there already."""
    kept = {name: value for name, value in environment.items() if name.startswith((*likeness.SETTINGS, *_ALSO))}
    nothing = [(os.POSIX_SPAWN_OPEN, standard, os.devnull, os.O_RDWR, 0) for standard in (0, 1, 2)]
    command = [sys.executable, "-P", "-m", "ops_lib.cli.main", "daemon", SERVE]
    os.posix_spawn(sys.executable, command, kept, file_actions=nothing, setsid=True)


def daemons(environment: Mapping[str, str]) -> Iterator[tuple[int, Path]]:
    """The process ids of the daemons of this account that live, with their lock files."""
    for path in sorted(folder(environment).glob("*.lock")):
        with path.open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                with contextlib.suppress(ValueError):
                    yield int(lock.read() or b""), path
