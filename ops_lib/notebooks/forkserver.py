"""Keeps kernels that were forked from one warm process waiting, so that a run does not wait for one to start.

Started as a program of its own: `python -m ops_lib.notebooks.forkserver SOCKET FOLDER VARIABLE NUMBER`. It listens on
SOCKET; each kernel has a folder below FOLDER; VARIABLE is the one by which the processes of a run are found; NUMBER
kernels wait. It ends when its standard input closes; on its standard output it says `ready`, and a letter whenever a
kernel is claimed. Kernels that were claimed belong to their claimants and stay.

Linux only. It stays one thread: a fork would take the others' locks with it, and not the threads.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
import stat
import sys
import time
import warnings
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from ops_lib.notebooks import warm
from ops_lib.notebooks.guise import Guise
from ops_lib.notebooks.prefork import TAKEN, WAITING, Place, close_all_but, keep

REFILL_AFTER_SECONDS = 0.5
"""A new kernel costs a twentieth of a second of a processor, which the run that took the last one needs first."""

_BACKLOG = 64
_FAILURES = 5


@dataclass(slots=True)
class _Kept:
    """What the fork server knows of one keeper."""

    pid: int
    folder: Path
    state: str = "preparing"


class ForkServer:
    """Forks keepers with their kernels, as many as shall wait, and at once where a claim waits and none is ready."""

    def __init__(self, claims: socket.socket, folder: Path, guise: Guise, number: int) -> None:
        self._claims, self._folder, self._guise, self._number = claims, folder, guise, number
        self._kept: dict[int, _Kept] = {}
        self._names = count(1)
        self._refill_at = 0.0
        self._failures = 0
        self._lives, self._life = os.pipe2(os.O_CLOEXEC)
        self._wake, writes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writes)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Until standard input closes, or kernels cannot be made here."""
        while self._failures < _FAILURES:
            self._fill()
            awaited = [sys.stdin.fileno(), self._wake, *self._kept]
            if not self._available():
                awaited.append(self._claims.fileno())
            ready, _, _ = select.select(awaited, [], [], self._patience())
            if sys.stdin.fileno() in ready:
                return
            if self._wake in ready:
                os.read(self._wake, 4096)
                _reap()
            for told in set(ready) & set(self._kept):
                self._hear(told)
            if self._claims.fileno() in ready and not self._available():
                self._fork()

    def _available(self) -> int:
        return sum(kept.state != "taken" for kept in self._kept.values())

    def _patience(self) -> float | None:
        short = self._available() < self._number
        return max(0.0, self._refill_at - time.monotonic()) if short else None

    def _fill(self) -> None:
        if self._available() < self._number and time.monotonic() >= self._refill_at:
            self._fork()

    def _hear(self, told: int) -> None:
        """A keeper waits, was claimed, or has ended."""
        said = os.read(told, 16)
        kept = self._kept[told]
        if not said:
            os.close(told)
            del self._kept[told]
            shutil.rmtree(kept.folder, ignore_errors=True)
            self._refill_at = time.monotonic() + REFILL_AFTER_SECONDS
            self._failures += kept.state == "preparing"
        elif TAKEN in said:
            kept.state = "taken"
            self._refill_at = time.monotonic() + REFILL_AFTER_SECONDS
            _say(b"t")
        elif WAITING in said:
            kept.state, self._failures = "waiting", 0

    def _fork(self) -> None:
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        _make_private(self._folder)  # again, where the last kernel that waited took it along
        folder = self._folder / str(next(self._names))
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            _silence()
            close_all_but(self._claims.fileno(), theirs, self._lives)
            keep(Place(
                claims=self._claims, told=theirs, server_lives=self._lives, folder=folder, guise=self._guise,
            ))  # fmt: skip
        os.close(theirs)
        self._kept[ours] = _Kept(pid, folder)


def listen(path: Path) -> socket.socket:
    """A socket in a folder whose own path may be longer than a socket's may be."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    os.chdir(path.parent)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path.name)  # noqa: PTH108 - relative to the folder that we are in
    before = os.umask(0o177)
    listening.bind(path.name)
    os.umask(before)
    os.chdir("/")
    listening.listen(_BACKLOG)
    listening.setblocking(False)
    return listening


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} is not a private folder of ours")


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _silence() -> None:
    """Nothing to read and nobody to write to, as for a kernel that is started."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)


def _say(letter: bytes) -> None:
    with contextlib.suppress(OSError):
        os.write(1, letter)


def main(path: str, folder: str, variable: str, number: str) -> None:
    guise = Guise(variable)
    guise.command(f"{sys.executable} runbook fork server")
    if sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 - sys.path has text
        del sys.path[0]
    warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)
    warm.load()
    server = ForkServer(listen(Path(path)), Path(folder), guise, int(number))
    _say(b"ready\n")
    server.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
