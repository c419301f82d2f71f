"""A fork server of a test's own, and what is to be seen of its processes."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops_lib.model.run import RUN_VARIABLE
from ops_lib.notebooks.claim import ClaimedKernel
from ops_lib.notebooks.wire import Wire

RUN = "01KGC2V5T5Z8Q4M1F3W9X7R2AB"
_EXECUTE = {"silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A fork server that runs, and where it is."""

    process: "subprocess.Popen[bytes]"
    folder: Path

    @property
    def address(self) -> Path:
        return self.folder / "claims"

    def claim(self, scratch: Path, run_id: str = RUN, **environment: str) -> ClaimedKernel:
        """A kernel that is to be claimed, for a run."""
        given = {**os.environ, RUN_VARIABLE: run_id, **environment}
        return ClaimedKernel(self.address, scratch, given, variable=RUN_VARIABLE)


@contextmanager
def fork_server(number: int = 1) -> Iterator[Server]:
    """A fork server that keeps some kernels waiting."""
    folder = Path(tempfile.mkdtemp(prefix="ops-warm-"))
    process = subprocess.Popen(
        [sys.executable, "-m", "ops_lib.notebooks.forkserver", str(folder / "claims"), str(folder), RUN_VARIABLE,
         str(number)],
        cwd="/", env={**os.environ, RUN_VARIABLE: "-" * 26}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    try:
        assert process.stdout.readline() == b"ready\n"
        yield Server(process=process, folder=folder)
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
        shutil.rmtree(folder, ignore_errors=True)


def scratch() -> Path:
    """A folder of a run's own."""
    return Path(tempfile.mkdtemp(prefix="ops-run-"))


def said(wire: Wire, code: str) -> str:
    """What a cell writes to its streams."""
    request = wire.request("execute_request", {**_EXECUTE, "code": code})
    text, idle, replied = "", False, False
    while not (idle and replied):
        got = wire.next(time.monotonic() + 60)
        assert got, "the kernel says nothing"
        channel, message = got
        if message["parent_header"].get("msg_id") != request:
            continue
        replied = replied or channel == "shell"
        idle = idle or message["content"].get("execution_state") == "idle"
        text += message["content"].get("text", "") if message["msg_type"] == "stream" else ""
    return text


def alive(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def of_run(run_id: str = RUN) -> list[int]:
    """The processes that belong to a run, as recovery finds them."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"{RUN_VARIABLE}={run_id}".encode() in (path / "environ").read_bytes() and alive(int(path.name)):
                found.append(int(path.name))
        except OSError:
            continue
    return found
