"""A kernel that was waiting, claimed from a fork server over its socket; where there is none, one that is started."""

import contextlib
import json
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops_lib.notebooks.kernel import Kernel, StartedKernel
from ops_lib.notebooks.prefork import GONE, INTERRUPT

_CLAIM_SECONDS = 30.0
_GRACE_SECONDS = 5.0
_LONGEST_ANSWER = 1 << 16


class NoneWaits(Exception):
    """No kernel was waiting that could serve this run."""


class ClaimedKernel:
    """A kernel that waited; it goes on as if it had been started in this folder and environment.

    `variable` is the one in the environment by which the processes of a run are found.
    """

    def __init__(self, address: Path, scratch: Path, environment: Mapping[str, str], *, variable: str) -> None:
        self._address, self._scratch, self._variable = address, scratch, variable
        self._environment = dict(environment)
        self._lifeline: socket.socket | None = None

    def start(self) -> Mapping[str, Any]:
        """NoneWaits where there is none, or it cannot stand in for a fresh one."""
        try:
            self._lifeline = dial(self._address)
            self._lifeline.settimeout(_CLAIM_SECONDS)
            self._lifeline.sendall(json.dumps(self._wish()).encode() + b"\n")
            answer = json.loads(_line(self._lifeline) or b"{}")
            if "pid" not in answer:
                raise NoneWaits(answer.get("refused", "the kernel that waited has ended"))
        except (OSError, ValueError, NoneWaits) as error:
            if self._lifeline:
                self._lifeline.close()
                self._lifeline = None
            raise NoneWaits(str(error)) from None
        said: Mapping[str, Any] = answer["connection"]
        return said

    def _wish(self) -> dict[str, Any]:
        umask = os.umask(0o077)
        os.umask(umask)
        return {
            "folder": os.getcwd(),  # noqa: PTH109 - for JSON
            "environment": self._environment,
            "umask": umask,
            "scratch": str(self._scratch),
            "variable": self._variable,
        }

    @property
    def ended(self) -> int:
        return self._lifeline.fileno() if self._lifeline else -1

    def interrupt(self) -> None:
        if self._lifeline:
            with contextlib.suppress(OSError):
                self._lifeline.sendall(INTERRUPT)

    def kill(self) -> None:
        if self._lifeline:
            with contextlib.suppress(OSError):
                self._lifeline.shutdown(socket.SHUT_WR)

    def end(self) -> bool:
        """The keeper says so once nothing but itself is left; one that was itself killed hangs up without a word."""
        if self._lifeline is None:
            return True
        self.kill()
        self._lifeline.settimeout(_GRACE_SECONDS)
        heard = b""
        with contextlib.suppress(OSError):
            while GONE not in heard and (said := self._lifeline.recv(16)):
                heard += said
        self._lifeline.close()
        return GONE in heard


class NearestKernel:
    """The kernel that waits at an address, or else one that is started; a run cannot tell which."""

    def __init__(self, address: Path, scratch: Path, environment: Mapping[str, str], *, variable: str) -> None:
        self._claimed = ClaimedKernel(address, scratch, environment, variable=variable)
        self._started = StartedKernel(scratch, environment)
        self._kernel: Kernel = self._started
        self._killed = False

    def start(self) -> Mapping[str, Any]:
        try:
            if not self._killed:
                said = self._claimed.start()
                self._kernel = self._claimed
                if self._killed:
                    self._claimed.kill()
                return said
        except NoneWaits:
            pass
        return self._started.start()

    @property
    def ended(self) -> int:
        return self._kernel.ended

    def interrupt(self) -> None:
        self._kernel.interrupt()

    def kill(self) -> None:
        self._killed = True
        self._started.kill()
        self._claimed.kill()

    def end(self) -> bool:
        self._killed = True
        gone = self._claimed.end() if self._kernel is self._claimed else True
        return self._started.end() and gone


def dial(address: Path) -> socket.socket:
    """A connection to a socket of our own account, however long its path is."""
    folder = os.open(address.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    dialled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        dialled.connect(f"/proc/self/fd/{folder}/{address.name}")
        _, account, _ = struct.unpack("3i", dialled.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if account != os.geteuid():
            raise OSError(f"{address} belongs to another account")
    except OSError:
        dialled.close()
        raise
    finally:
        os.close(folder)
    return dialled


def _line(source: socket.socket) -> bytes:
    """A line. What follows it stays unread: only the end of the kernel does, and then the line has come whole."""
    content = source.recv(_LONGEST_ANSWER, socket.MSG_PEEK)
    if content and b"\n" not in content:
        source.recv(len(content))
        return content + _line(source)
    return source.recv(content.find(b"\n") + 1) if content else b""
