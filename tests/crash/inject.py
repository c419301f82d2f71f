"""Faults at exact places: strace makes the N-th system call of a forked child fail, or kills the child at it.

The child is forked from a process that has told the story before, so nothing is imported and no byte but the
archive's is read while strace counts; it waits for a signal until strace holds it.
"""

import os
import re
import select
import signal
import subprocess
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

KILL, EIO, ENOSPC = "KILL", "EIO", "ENOSPC"
FAULTS = (KILL, EIO, ENOSPC)
CHANGING = frozenset({
    "open", "openat", "creat", "mkdir", "rename", "renameat", "renameat2", "write", "pwrite64", "writev", "fsync",
    "fdatasync", "ftruncate", "fallocate", "unlink", "unlinkat", "rmdir", "link", "linkat", "symlink", "chmod",
    "fchmod", "utimensat",
})  # fmt: skip
_LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)")
_BEGAN = re.compile(r'\{\\?"began\\?": \\?"([\w-]+)\\?"')
DEADLINE_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The `number`-th call of a system call since the child began; it touches the archive during `operation`."""

    operation: str
    call: str
    number: int

    def __str__(self) -> str:
        return f"{self.call} {self.number} ({self.operation})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a child ended: its exit code, negative for a signal; and what it said where it failed by itself."""

    code: int
    injected: str
    said: str


def points_of(act: Callable[[], None], touching: Path, scratch: Path) -> list[Point]:
    """Every system call of `act` that touches a folder."""
    log = scratch / "trace"
    ended = run_traced(act, ["-y", "-s", "80"], log, scratch)
    if ended.code != 0:
        raise RuntimeError(f"the story fails without a fault: {ended.said}")
    return list(_points(log.read_text(errors="replace").splitlines(), str(touching)))


def _points(lines: list[str], touching: str) -> Iterator[Point]:
    seen: Counter[str] = Counter()
    operation = "begin"
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        call, arguments = match.groups()
        seen[call] += 1
        if began := _BEGAN.search(arguments):
            operation = began.group(1)
        if touching in arguments:
            yield Point(operation=operation, call=call, number=seen[call])


def injected(act: Callable[[], None], point: Point, fault: str, scratch: Path, *, onwards: bool = False) -> Ended:
    """Run `act` in a child to which a fault happens at a point; `onwards`, also at every such call after it."""
    when = f"{point.number}+" if onwards else str(point.number)
    effect = f"signal={fault}" if fault == KILL else f"error={fault}"
    return run_traced(
        act, ["-y", "-e", f"trace={point.call}", "-e", f"inject={point.call}:{effect}:when={when}"],
        scratch / "trace", scratch,
    )  # fmt: skip


def run_traced(act: Callable[[], None], options: list[str], log: Path, scratch: Path) -> Ended:
    """Run `act` in a forked child under strace."""
    said = scratch / "said"
    said.unlink(missing_ok=True)
    go_read, go_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go_write)
        _be_child(act, go_read, said)
    os.close(go_read)
    tracer = subprocess.Popen(
        ["strace", "-f", "-q", "-o", str(log), *options, "-p", str(child)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    _wait_for_tracer(child, tracer)
    os.write(go_write, b"g")
    code, hung = _wait_for(child)
    os.close(go_write)
    tracer.communicate(timeout=DEADLINE_SECONDS)
    met = [line for line in log.read_text(errors="replace").splitlines() if "(INJECTED)" in line]
    return Ended(code=code, injected=met[0] if met else "", said=hung or _text(said))


def _wait_for(child: int) -> tuple[int, str]:
    """The exit code of a child, and what is to be said where it had to be ended."""
    descriptor = os.pidfd_open(child)
    ended, _, _ = select.select([descriptor], [], [], DEADLINE_SECONDS)
    os.close(descriptor)
    if not ended:
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return (code, "") if ended else (1, f"Hangs: it did not end within {DEADLINE_SECONDS} s")


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _wait_for_tracer(child: int, tracer: "subprocess.Popen[bytes]") -> None:
    while True:
        status = Path(f"/proc/{child}/status").read_text()
        if "TracerPid:\t0\n" not in status:
            return
        if tracer.poll() is not None:
            raise RuntimeError(f"strace ended: {tracer.stderr.read().decode() if tracer.stderr else ''}")
        select.select([], [], [], 0.001)


def _be_child(act: Callable[[], None], go: int, said: Path) -> None:
    """Wait for the word, act, and leave without any of the parent's clean-up."""
    code = 0
    try:
        select.select([go], [], [])
        act()
    except BaseException as error:
        code = 1
        said.write_text(f"{type(error).__name__}: {error}\n{''.join(traceback.format_exception(error))}")
    finally:
        os._exit(code)


def forked(act: Callable[[], None], scratch: Path) -> Ended:
    """Run `act` in a forked child without any fault."""
    said = scratch / "said"
    said.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        ready, ready_write = os.pipe()
        os.write(ready_write, b"g")
        _be_child(act, ready, said)
    code, hung = _wait_for(child)
    return Ended(code=code, injected="", said=hung or _text(said))


def forked_together(acts: Sequence[Callable[[], None]], scratch: Path) -> None:
    """Run several acts at once, each in a child of its own that begins when all are there."""
    go_read, go_write = os.pipe()
    children = []
    for number, act in enumerate(acts):
        child = os.fork()
        if child == 0:
            _be_child(act, go_read, scratch / f"said-{number}")
        children.append(child)
    os.write(go_write, b"g")
    for child in children:
        _wait_for(child)
    os.close(go_read)
    os.close(go_write)
