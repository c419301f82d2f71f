"""The thin end: hands a command to the daemon of this account, with its files, folder and environment.

What the daemon runs is the same command, in a process of its own that was forked from one with everything imported. It
writes to our terminal itself; we pass on signals and wait for its exit code. Every run waits until this is imported, so
it does with what Python has loaded by then, or loads in no time: `pathlib`, `json`, `socket` and the like take longer
than all that is done with them here.
"""

import _socket as socket
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence

from ops_lib.notebooks import likeness

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

FORBIDDEN = "RUNBOOK_NO_DAEMON"
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SERVE = "serve-in-background"
BEGUN = b"\xff"
"""What the daemon says once it has all of a command; where it never did, nothing was run. No exit code is this."""
_ABSENT = (OSError, ValueError)
_A_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_ALSO = ("PATH", "USER", "LOGNAME")
_WITHIN_A_RUN = "RUNBOOK_RUN_ID"


def folder(environment: Mapping[str, str]) -> "Path":
    """Where the sockets of our daemons are; private, and below the state folder."""
    from pathlib import Path  # noqa: PLC0415 - as is said above

    return Path(_folder(environment))


def address(environment: Mapping[str, str]) -> "Path":
    """The socket of the daemon that can stand in for a process with this environment."""
    return folder(environment) / _name(environment)


def _folder(environment: Mapping[str, str]) -> str:
    home = environment.get("HOME") or os.path.expanduser("~")  # noqa: PTH111 - pathlib is not loaded
    return f"{environment.get('XDG_STATE_HOME') or f'{home}/.local/state'}/ops-runbooks/daemon"


def _name(environment: Mapping[str, str]) -> str:
    return f"{likeness.key(environment)}.runs"


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
    daemon = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _dial(daemon, _folder(environment), _name(environment))
        send(daemon, packed(arguments, environment, _umask()))
    except _ABSENT:
        daemon.close()
        return None
    try:
        return _exit_code(daemon)
    finally:
        daemon.close()


def _dial(daemon: socket.socket, folder: str, name: str) -> None:
    """Connect to a socket in a folder that nobody else can write to."""
    held = os.open(folder, _A_FOLDER | os.O_NOFOLLOW)
    try:
        status = os.fstat(held)
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise OSError(f"{folder} is not private")
        daemon.connect(f"/proc/self/fd/{held}/{name}")
    finally:
        os.close(held)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def packed(arguments: Sequence[str], environment: Mapping[str, str], umask: int) -> bytes:
    """A request as bytes: no part of it holds a zero."""
    variables = [f"{name}={value}" for name, value in environment.items()]
    return b"\0".join(map(os.fsencode, [str(umask), str(len(arguments)), *arguments, *variables]))


def unpacked(request: bytes) -> tuple[list[str], dict[str, str], int]:
    """Arguments, environment and umask of a request.

    >>> unpacked(packed(["run", "X"], {"A": "b=c"}, 0o22))
    (['run', 'X'], {'A': 'b=c'}, 18)
    """
    umask, number, *rest = map(os.fsdecode, request.split(b"\0"))
    variables = (variable.partition("=") for variable in rest[int(number) :])
    return rest[: int(number)], {name: value for name, _, value in variables}, int(umask)


def send(to: socket.socket, request: bytes) -> None:
    """The request, with our standard files and our folder."""
    here = os.open(".", _A_FOLDER)
    try:
        files = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2, here))
        to.sendmsg([len(request).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
        to.sendall(request)
    finally:
        os.close(here)


def _exit_code(daemon: socket.socket) -> int | None:
    """Wait, passing on signals; a run that was ended by one of them ends us in the same way."""
    passed: list[int] = []

    def pass_on(number: int, frame: object) -> None:
        passed.append(number)
        try:  # noqa: SIM105 - contextlib is not loaded
            daemon.sendall(bytes((number,)))
        except OSError:
            pass

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


def daemons(environment: Mapping[str, str]) -> Iterator[tuple[int, "Path"]]:
    """The process ids of the daemons of this account that live, with their lock files."""
    import fcntl  # noqa: PLC0415 - no run asks this

    for path in sorted(folder(environment).glob("*.lock")):
        with path.open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = lock.read()
                if pid.isdigit():
                    yield int(pid), path
