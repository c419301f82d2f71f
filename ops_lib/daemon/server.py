"""The daemon: a process with everything imported, which forks itself for each command that it is handed.

It never runs anything itself and stays one thread, so a fork is always clean, and nothing of one run reaches another.
One fork is made ahead: it waits for the next caller in place of the daemon, which makes another once it has one.
It ends when nobody has used it for a while, when the code, a package or its folder has changed or vanished, and on
SIGTERM; runs that are going on then are asked to stop, as SIGTERM asks a command.
"""

import contextlib
import fcntl
import gc
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ops_lib.daemon import client
from ops_lib.daemon.errand import await_caller
from ops_lib.notebooks import likeness
from ops_lib.notebooks.forkserver import listen
from ops_lib.notebooks.prefork import close_all_but

Main = Callable[[Sequence[str]], int]
IDLE_SECONDS = 600.0
LOOK_SECONDS = 5.0
_KERNELS_AGAIN_SECONDS = 30.0
_SPARE_AGAIN_SECONDS = 0.5
"""A fork costs some milliseconds of a processor, which the run that took the last one needs first."""


def take_lock(address: Path) -> int | None:
    """The descriptor that makes this process the daemon; nothing where another process is."""
    path = address.with_suffix(".lock")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


class Daemon:
    """One for each likeness: who holds its lock. The address was made before anything was imported."""

    def __init__(self, main: Main, address: Path, lock: int, *, kernels: int, variable: str, scratch: Path) -> None:
        self._main, self._number, self._variable, self._scratch = main, kernels, variable, scratch
        self._lock = lock
        self._address = address
        self._kernels: subprocess.Popen[bytes] | None = None
        self._kernels_at = 0.0
        self._runs: dict[int, float] = {}
        self._spare: tuple[int, int] | None = None
        self._spare_at = 0.0
        self._used = time.monotonic()
        self._ending = False

    def serve(self) -> int:
        """Until it is of no more use. Whoever started it has left it nothing but its environment."""
        os.chdir("/")
        close_all_but(self._lock)
        wake = self._wake_on_signals()
        try:
            self._start_kernels()
            gc.collect()
            gc.freeze()
            claims = listen(self._address)
            folder = self._address.parent.stat().st_ino
            while not (self._ending or self._useless(folder)):
                self._turn(claims, wake)
            self._address.unlink(missing_ok=True)
            claims.close()
            self._end_spare()
            self._end_runs(wake)
        finally:
            self._end_spare()
            self._end_kernels()
            shutil.rmtree(self._scratch, ignore_errors=True)
            os.close(self._lock)
        return 0

    def _wake_on_signals(self) -> int:
        reads, writes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writes)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        return reads

    def _end(self, number: int, frame: object) -> None:
        self._ending = True

    def _useless(self, folder: int) -> bool:
        try:
            moved = self._address.parent.stat().st_ino != folder or not self._address.exists()
            changed = likeness.key(os.environ) != self._address.stem
        except OSError:
            return True
        idle = not self._runs and time.monotonic() - self._used > IDLE_SECONDS
        return moved or changed or idle

    def _turn(self, claims: socket.socket, wake: int) -> None:
        until = self._spare_at - time.monotonic()
        if self._spare is None and until <= 0:
            self._fork_spare(claims)
        calls = self._spare[1] if self._spare else claims.fileno()
        kernels = [self._kernels.stdout.fileno()] if self._kernels and self._kernels.stdout else []
        ready, _, _ = select.select([wake, calls, *kernels], [], [], LOOK_SECONDS if self._spare else until)
        if wake in ready:
            os.read(wake, 4096)
            self._reap()
        if calls in ready and self._spare:
            self._hear_spare()
        elif calls in ready:
            self._fork_spare(claims)
        if set(ready) & {*kernels}:
            self._hear_kernels()
        if self._kernels is None and time.monotonic() > self._kernels_at + _KERNELS_AGAIN_SECONDS:
            self._start_kernels()

    # The fork that waits for the next caller.

    def _fork_spare(self, claims: socket.socket) -> None:
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            likeness.know(self._address.stem)
            await_caller(claims, theirs, parent, self._main)
        os.close(theirs)
        self._spare = (pid, ours)

    def _hear_spare(self) -> None:
        """It has a caller, and is a run from now on; or it has ended."""
        assert self._spare
        (pid, told), self._spare = self._spare, None
        os.read(told, 1)
        os.close(told)
        self._runs[pid] = self._used = time.monotonic()
        self._spare_at = time.monotonic() + _SPARE_AGAIN_SECONDS
        self._reap()

    def _end_spare(self) -> None:
        """It ends, or is a run where it has a caller of which we have not heard yet."""
        if self._spare is None:
            return
        (pid, told), self._spare = self._spare, None
        if select.select([told], [], [], 0)[0]:
            self._runs[pid] = time.monotonic()
        else:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(told)

    def _reap(self) -> None:
        for pid in [*self._runs]:
            if os.waitpid(pid, os.WNOHANG)[0]:
                del self._runs[pid]
                self._used = time.monotonic()

    # The fork server of the kernels.

    def _start_kernels(self) -> None:
        self._kernels_at = time.monotonic()
        if self._number < 1:
            return
        shutil.rmtree(self._scratch, ignore_errors=True)  # kernels that waited for a daemon that was killed
        self._kernels = subprocess.Popen(
            [
                sys.executable, "-m", "ops_lib.notebooks.forkserver", str(self._address.with_suffix(".kernels")),
                str(self._scratch), self._variable, str(self._number),
            ],
            env={**os.environ, self._variable: "-" * 26}, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, process_group=0,
        )  # fmt: skip

    def _hear_kernels(self) -> None:
        """A kernel was claimed, maybe by somebody whom we do not know; or the fork server has ended."""
        if self._kernels and self._kernels.stdout:
            if os.read(self._kernels.stdout.fileno(), 4096):
                self._used = time.monotonic()
            else:
                self._end_kernels()

    def _end_kernels(self) -> None:
        if self._kernels and self._kernels.stdin and self._kernels.stdout:
            self._kernels.stdin.close()
            self._kernels.stdout.close()
            self._kernels.wait()
            self._kernels = None
            self._address.with_suffix(".kernels").unlink(missing_ok=True)

    def _end_runs(self, wake: int) -> None:
        """Ask the runs to stop where we were asked to; otherwise wait until they have ended."""
        if self._ending:
            for pid in self._runs:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        while self._runs:
            select.select([wake], [], [], LOOK_SECONDS)
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 4096)
            self._reap()


def stop(environment: "os._Environ[str]", seconds: float = 60.0) -> list[int]:
    """End the daemons of this account and wait until they have; the process ids of those that were there."""
    stopped = []
    for pid, path in client.daemons(environment):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        _wait_for(path, seconds)
        stopped.append(pid)
    return stopped


def _wait_for(lock: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
    with lock.open("rb") as held:
        while time.monotonic() < end:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return
            select.select([], [], [], 0.01)
