"""The keeper of a kernel that waits: what `keeper` is to one that is started, without a program of its own.

A claim is a connection to the socket on which all waiting keepers listen; the first one takes it. The connection is
the lifeline: when it closes, however the claimant died, the kernel and everything that it started is killed.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ops_lib.notebooks import keeper, likeness, warm
from ops_lib.notebooks.guise import Guise

INTERRUPT, GONE = b"i", b"g"
WAITING, TAKEN = b"w", b"t"
"""What a keeper tells the fork server."""

_CLAIM_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a keeper gets from the fork server: where claims arrive, whom to tell, and how to know that it is gone."""

    claims: socket.socket
    told: int
    server_lives: int
    folder: Path
    guise: Guise


def keep(place: Place) -> NoReturn:
    """Be the keeper of one kernel from its fork to its end, and of all that it started. Ends the process."""
    code = 1
    try:
        place.folder.mkdir(mode=0o700)
        os.setsid()
        keeper.adopt_orphans()
        wake = _wake_on_children()
        kernel, wishes = _fork_kernel(place)
        place.guise.command(f"{sys.executable} runbook keeper: {place.folder}")
        kept = _Keeper(place, kernel, wishes, wake)  # holds the connection, which hangs up when this process has ended
        code = kept.serve()
    finally:
        os._exit(code)


def _wake_on_children() -> int:
    reads, writes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return reads


def _fork_kernel(place: Place) -> tuple[int, socket.socket]:
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    kernel = os.fork()
    if kernel == 0:
        signal.set_wakeup_fd(-1)
        close_all_but(theirs.fileno())
        warm.become_kernel(parent, theirs, place.folder, place.guise)
    theirs.close()
    return kernel, ours


def close_all_but(*kept: int) -> None:
    """Close every descriptor but the standard ones and those that are named."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - in a forked process, do little
        if int(name) > 2 and int(name) not in kept:
            with contextlib.suppress(OSError):
                os.close(int(name))


class _Keeper:
    def __init__(self, place: Place, kernel: int, wishes: socket.socket, wake: int) -> None:
        self._place, self._kernel, self._wishes, self._wake = place, kernel, wishes, wake
        self._answers = wishes.makefile("rb")
        self._sockets = place.folder
        self._claimant: socket.socket | None = None

    def serve(self) -> int:
        """The exit code, once no descendant is left."""
        try:
            if self._comes(self._wishes, while_waiting=True) and self._answers.readline():
                self._claimant = self._claimed()
            if self._claimant:
                self._until_the_end(self._claimant)
        finally:
            keeper.kill_descendants(os.getpid())
            shutil.rmtree(self._sockets, ignore_errors=True)
            # The folder above is the fork server's, or that of a run which has nothing else in it.
            with contextlib.suppress(OSError):
                self._sockets.parent.rmdir()
            if self._claimant:
                self._place.guise.no_value()  # the claimant does not wait until this process has ended as well
                with contextlib.suppress(OSError):
                    self._claimant.sendall(GONE)
        return 0

    def _claimed(self) -> socket.socket | None:
        """The connection of the first claim that the kernel can serve; nothing where it or the fork server ends."""
        os.write(self._place.told, WAITING)
        while self._comes(self._place.claims, while_waiting=True):
            try:
                claimant, _ = self._place.claims.accept()
            except BlockingIOError:  # another keeper was faster
                continue
            wish = _wish(claimant)
            if wish is None:
                claimant.close()
            elif refusal := self._unfit(wish):
                _answer(claimant, {"refused": refusal})
            else:
                os.write(self._place.told, TAKEN)
                return self._handed_over(claimant, wish)
        return None

    def _unfit(self, wish: Mapping[str, Any]) -> str | None:
        """Why the kernel cannot serve a run; nothing where it can, and then its sockets are in the run's own folder.

        There recovery finds them by the run's id, whoever was killed.
        """
        if likeness.shadowed(wish["folder"], sys.modules):
            return "a module in its folder has the name of one that is imported"
        moved = Path(wish["scratch"], warm.SOCKETS)
        try:
            self._sockets.rename(moved)
        except OSError as error:
            return str(error)
        self._sockets = moved
        return None

    def _handed_over(self, claimant: socket.socket, wish: Mapping[str, Any]) -> socket.socket | None:
        self._place.claims.close()
        self._place.guise.value(wish["environment"].get(wish["variable"], ""))
        self._wishes.sendall(json.dumps(wish).encode() + b"\n")
        answer = json.loads(self._answers.readline() or b'{"refused": "the kernel died"}')
        if answer["refused"]:
            _answer(claimant, answer)
            return None
        claimant.settimeout(None)
        claimant.sendall(json.dumps({**answer, "pid": self._kernel}).encode() + b"\n")
        return claimant

    def _until_the_end(self, claimant: socket.socket) -> None:
        """Pass on interrupts until the kernel has ended, or the claimant has closed the connection or died."""
        while self._comes(claimant, while_waiting=False):
            try:
                said = claimant.recv(16)
            except OSError:
                return
            if not said:
                return
            if INTERRUPT in said:
                os.killpg(0, signal.SIGINT)

    def _comes(self, awaited: socket.socket, *, while_waiting: bool) -> bool:
        """Whether something arrives there before the kernel ends, or before the fork server does where that counts."""
        watched = [awaited.fileno(), self._wake, *([self._place.server_lives] if while_waiting else [])]
        while True:
            ready, _, _ = select.select(watched, [], [])
            if self._wake in ready:
                os.read(self._wake, 4096)
                if keeper.reap(self._kernel) is not None:
                    return False
            if while_waiting and self._place.server_lives in ready:
                return False
            if awaited.fileno() in ready:
                return True


def _wish(claimant: socket.socket) -> dict[str, Any] | None:
    """What a claimant of this account asks for; nothing from somebody else, or from one that says nothing."""
    _, account, _ = struct.unpack("3i", claimant.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if account != os.getuid():
        return None
    claimant.settimeout(_CLAIM_SECONDS)
    try:
        wish: dict[str, Any] | None = json.loads(claimant.makefile("rb").readline() or b"null")
    except (OSError, ValueError):
        return None
    return wish


def _answer(claimant: socket.socket, answer: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):
        claimant.sendall(json.dumps(answer).encode() + b"\n")
    claimant.close()
