"""Kernels under a keeper, each in a scratch folder of its own for its sockets."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_event_loop, run_sync

from ops_lib.notebooks import keeper

PYTHON = "python3"
_GRACE_SECONDS = 5.0


class Kernel:
    """A kernel that is not started yet; `manager` is what nbclient drives.

    Its sockets are files in `scratch`, which must be a short path (a Unix socket's has 107 bytes at the most), so no
    two runs race for a port.
    """

    def __init__(self, scratch: Path, environment: Mapping[str, str], *, name: str = PYTHON) -> None:
        self.scratch = scratch
        self._environment = dict(environment)
        self._theirs, self._ours = os.pipe2(os.O_CLOEXEC)
        self.manager = AsyncKernelManager(
            kernel_name=name,
            transport="ipc",
            ip=str(scratch / "kernel"),
            connection_file=str(scratch / "connection.json"),
        )
        self.manager._kernel_spec = KernelSpec(argv=[*self._keeper(), *_command(name)], language="python")

    def start_arguments(self) -> dict[str, Any]:
        """What the manager's start takes: the environment, and the keeper's end of the lifeline."""
        return {"pass_fds": (self._theirs,), "env": self._environment}

    @property
    def pid(self) -> int | None:
        """The process id of the keeper, which stands for the kernel."""
        process = self._process()
        return process.pid if process else None

    def interrupt(self) -> None:
        """What Ctrl-C does to the running cell."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End the kernel and everything that it started: the keeper does it once its lifeline is cut."""
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1

    def end(self) -> None:
        """Kill, and wait until nothing is left; a keeper that was itself killed leaves its orphans to us."""
        self.kill()
        process = self._process()
        if process is not None:
            try:
                process.wait(timeout=_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                process.wait()
        os.close(self._theirs)
        run_sync(self.manager.cleanup_resources)()
        loop = ensure_event_loop()
        if not loop.is_running():
            loop.close()

    def _keeper(self) -> list[str]:
        return [sys.executable, "-ISE", keeper.__file__, str(self._theirs), str(self.scratch)]

    def _process(self) -> Any:
        provisioner = self.manager.provisioner
        return getattr(provisioner, "process", None) if provisioner else None

    def _signal(self, number: int) -> None:
        process = self._process()
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)


def _command(name: str) -> list[str]:
    """How a kernel is started; the Python kernel always from the environment that this runs in."""
    if name == PYTHON:
        launcher = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return [sys.executable, *launcher, "--HistoryManager.enabled=False"]
    return list(KernelSpecManager().get_kernel_spec(name).argv)
