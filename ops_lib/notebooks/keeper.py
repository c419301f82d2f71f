"""Runs a kernel, and lets nothing of it outlive the supervisor.

Started as a script of its own: `python keeper.py LIFELINE SCRATCH COMMAND...`. LIFELINE is the read end of a pipe whose
other end the supervisor holds: when it closes, however the supervisor died, the kernel and everything that it started
is killed. The keeper adopts orphans (PR_SET_CHILD_SUBREAPER), so a process that left its session is found too. The
kernel in turn dies with the keeper (PR_SET_PDEATHSIG). SCRATCH, the folder of the run's sockets, is removed at the end.

Linux only, standard library only: it must start in milliseconds.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def main(lifeline: int, scratch: str, command: list[str]) -> int:
    """The exit code of the kernel, once no descendant is left."""
    adopt_orphans()
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    kernel = _start(lifeline, command)
    code = None
    while code is None:
        ready, _, _ = select.select([lifeline, wake_read], [], [])
        if lifeline in ready:
            break
        os.read(wake_read, 4096)
        code = reap(kernel)
    kill_descendants(os.getpid())
    shutil.rmtree(scratch, ignore_errors=True)
    return 137 if code is None else code


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process; see prctl(2)."""
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own has ended."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int) -> None:
    """Be killed when the parent ends; at once where it has ended already."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def live_on() -> None:
    """Be killed with nobody any more."""
    prctl(_PR_SET_PDEATHSIG, 0)


def _start(lifeline: int, command: list[str]) -> int:
    """Fork the kernel; its process id."""
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(keeper, lifeline, command)
    return pid


def _become(keeper: int, lifeline: int, command: list[str]) -> NoReturn:
    """Turn the forked child into the kernel, which dies with its keeper."""
    die_with(keeper)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    os.close(lifeline)
    os.environ["JPY_PARENT_PID"] = str(keeper)
    os.execvp(command[0], command)  # noqa: S606


def reap(kernel: int) -> int | None:
    """Collect ended children; the kernel's exit code if it is among them."""
    code = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == kernel:
                code = os.waitstatus_to_exitcode(status)
    return code if code is None or code >= 0 else 128 - code


def kill_descendants(ancestor: int) -> None:
    """Kill every process below `ancestor`, which must be this process, until there is none."""
    while True:
        for pid in descendants(ancestor):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def descendants(ancestor: int) -> list[int]:
    """The process ids below one, from /proc."""
    children_of = _children if os.path.exists(f"/proc/self/task/{os.getpid()}/children") else _every_child().get  # noqa: PTH110
    found, queue = [], [ancestor]
    while queue:
        below = children_of(queue.pop()) or []
        found += below
        queue += below
    return found


def _children(parent: int) -> list[int]:
    """The children of one process, as Linux tells where it was built to (CONFIG_PROC_CHILDREN)."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{parent}/task"):  # noqa: PTH208
            with open(f"/proc/{parent}/task/{thread}/children", "rb") as children:  # noqa: PTH123
                found += map(int, children.read().split())
    return found


def _every_child() -> dict[int, list[int]]:
    """The children of every process."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib would double the time to start
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{name}/stat", "rb") as stat:  # noqa: PTH123
                    parent = int(stat.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    return children


def kill_strays(variable: str, value: str) -> None:
    """Kill every process that has `variable=value` in its environment: what a killed keeper left behind."""
    wanted = f"{variable}={value}".encode()
    while True:
        strays = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if wanted in _environment(pid)]  # noqa: PTH208
        if not strays:
            return
        for pid in strays:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        select.select([], [], [], 0.01)


def _environment(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as environment:  # noqa: PTH123
            return environment.read().split(b"\0")
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
