"""Kernels under a keeper, each in a scratch folder of its own for its sockets.

A run drives a `Kernel` and does not know whether that is started for it (`StartedKernel`) or was waiting for it
(`ops_lib.notebooks.claim`).
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, Protocol

from ops_lib.notebooks import floodgate, keeper

PYTHON = "python3"
ARGUMENTS = ("--HistoryManager.enabled=False", f"--ext={floodgate.__name__}")
"""What a Python kernel is told besides its connection file."""

_GRACE_SECONDS = 5.0


class Kernel(Protocol):
    """One kernel for one run."""

    def start(self) -> Mapping[str, Any]:
        """Begin; how to connect to it, as a connection file says it. KernelDied where it was killed before."""

    @property
    def ended(self) -> int:
        """A descriptor that can be read once the kernel is gone."""

    def interrupt(self) -> None:
        """What Ctrl-C does to the running cell."""

    def kill(self) -> None:
        """End the kernel and everything that it started, without waiting."""

    def end(self) -> bool:
        """Kill, wait, and say whether certainly nothing is left; where not, its strays are to be looked for."""


class StartedKernel:
    """A kernel in a program of its own, which is started by `start`.

    Its sockets are files in `scratch`, which must be a short path (a Unix socket's has 107 bytes at the most), so no
    two runs race for a port.
    """

    def __init__(self, scratch: Path, environment: Mapping[str, str], *, name: str = PYTHON) -> None:
        self._scratch = scratch
        self._environment = dict(environment)
        self._name = name
        self._theirs, self._ours = os.pipe2(os.O_CLOEXEC)
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = -1

    def start(self) -> Mapping[str, Any]:
        """The keeper holds the other end of our lifeline: killed before this, the kernel ends as it begins."""
        file = write_connection(self._scratch)
        command, more = _command(self._name, file)
        kept = [sys.executable, "-ISE", keeper.__file__, str(self._theirs), str(self._scratch), *command]
        # ipykernel repeats what a cell's children print on its own standard output, which would be ours.
        nothing = subprocess.DEVNULL
        self._process = subprocess.Popen(
            kept, env={**self._environment, **more}, pass_fds=(self._theirs,), start_new_session=True,
            stdin=nothing, stdout=nothing, stderr=nothing,
        )  # fmt: skip
        self._ended = os.pidfd_open(self._process.pid)
        return connection(self._scratch)

    @property
    def ended(self) -> int:
        return self._ended

    def interrupt(self) -> None:
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """The keeper kills everything once its lifeline is cut."""
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1

    def end(self) -> bool:
        self.kill()
        os.close(self._theirs)
        if self._process is None:
            shutil.rmtree(self._scratch, ignore_errors=True)  # nobody else will, where no keeper was started
            return True
        try:
            code = self._process.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            code = self._process.wait()
        os.close(self._ended)
        return code >= 0

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


class StartedAhead:
    """A kernel that is being started from now on, by a thread; `start` waits until it is."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._said: Future[Mapping[str, Any]] = Future()
        threading.Thread(target=self._begin, daemon=True).start()

    def _begin(self) -> None:
        try:
            self._said.set_result(self._kernel.start())
        except BaseException as error:
            self._said.set_exception(error)

    def start(self) -> Mapping[str, Any]:
        return self._said.result()

    @property
    def ended(self) -> int:
        return self._kernel.ended

    def interrupt(self) -> None:
        self._kernel.interrupt()

    def kill(self) -> None:
        self._kernel.kill()

    def end(self) -> bool:
        self._kernel.kill()
        wait([self._said])
        return self._kernel.end()


def _command(name: str, file: Path) -> tuple[list[str], Mapping[str, str]]:
    """How a kernel is started, and with what in its environment; the Python kernel always from where this runs."""
    if name == PYTHON:
        return [sys.executable, "-m", "ipykernel_launcher", "-f", str(file), *ARGUMENTS], {}
    from jupyter_client.kernelspec import KernelSpecManager  # noqa: PLC0415 - only for kernels of other languages

    spec = KernelSpecManager().get_kernel_spec(name)
    known = {"connection_file": str(file), "resource_dir": spec.resource_dir, "prefix": sys.prefix}
    return [part.format(**known) if "{" in part else part for part in spec.argv], spec.env


def write_connection(folder: Path) -> Path:
    """A connection file for a kernel whose sockets are files in a folder."""
    from jupyter_client.connect import write_connection_file  # noqa: PLC0415 - heavy

    channels = ("shell", "iopub", "stdin", "control", "hb")
    ports = {f"{channel}_port": number for number, channel in enumerate(channels, start=1)}
    path = folder / "connection.json"
    secret = os.urandom(16).hex().encode()
    write_connection_file(str(path), ip=str(folder / "kernel"), transport="ipc", key=secret, **ports)
    return path


def connection(folder: Path) -> Mapping[str, Any]:
    """What the connection file of a folder says."""
    said: Mapping[str, Any] = json.loads((folder / "connection.json").read_bytes())
    return said
