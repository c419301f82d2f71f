"""How long a run takes besides its cells, against papermill's own command, in one interleaved run.

    python benchmarks/engine.py [--quick] [--write docs/performance.md]

The peer is the papermill command in an environment without jupyterlab, made from the same pinned versions outside of
the repository: its strongest form. In every round each variant runs once, so that whatever else the machine does hits
all alike; ratios are medians of the ratios within a round.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from bed import BIN, PEER, REPOSITORY, Bench, Floor, bench, peer
from document import write
from nbclient.exceptions import DeadKernelError
from section import report
from times import Times

from ops_lib.daemon import client
from ops_lib.model.run import RUN_VARIABLE
from ops_lib.notebooks.claim import ClaimedKernel
from ops_lib.notebooks.wire import Wire

ALONE = {client.FORBIDDEN: "1"}
"""What keeps a command from using a kernel that waits."""


def compare(made: Bench, rounds: int) -> dict[str, Times]:
    """The two notebooks of every day, all variants in every round."""
    floor = Floor(made.environment)
    tables = {}
    for name in ("trivial", "realistic"):
        times = tables[name] = Times()
        for variant in (made.socket, made.shell, floor.run, made.papermill):
            variant(name)
        for _ in range(rounds):
            made.settle()
            times.take("floor", lambda name=name: floor.run(name))
            times.take("socket", lambda name=name: made.socket(name))
            made.settle()
            times.take("shell", lambda name=name: made.shell(name))
            times.take("papermill", lambda name=name: made.papermill(name))
            times.take("papermill + nbconvert", lambda name=name: made.papermill_and_page(name))
            times.take("engine", lambda name=name: made.papermill(name, "--engine", "runbook"))
            times.take("engine alone", lambda name=name: made.papermill(name, "--engine", "runbook", **ALONE))
    return tables


def large(made: Bench, rounds: int) -> Times:
    """Many cells, large outputs, a burst; as commands."""
    times = Times()
    for _ in range(rounds):
        for name in ("many", "pictures"):
            made.settle()
            times.take(f"{name} shell", lambda name=name: made.shell(name))
            times.take(f"{name} papermill", lambda name=name: made.papermill(name))
        made.settle()
        times.take("many socket", lambda: made.socket("many"))
        made.settle()
        times.take("few socket", lambda: made.socket("trivial"))
        times.take("burst shell", lambda: burst([str(BIN / "runbook"), "run", "realistic"], made))
        peer_ = [str(PEER / "bin/papermill"), "--no-progress-bar", str(made.path("realistic"))]
        times.take("burst papermill", partial(burst, peer_, made))
    return times


def burst(command: list[str], made: Bench, number: int = 16) -> None:
    """Sixteen at once, to the end of the last."""
    running = [
        subprocess.Popen(
            [*command, *([str(made.folder / f"burst-{n}.ipynb")] if "papermill" in command[0] else [])],
            cwd=made.folder, env=made.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for n in range(number)
    ]  # fmt: skip
    assert [process.wait() for process in running] == [0] * number


def in_a_row(made: Bench, number: int) -> tuple[Times, dict[str, tuple[int, int]]]:
    """One run after the other: how long the slowest take, and what grows."""
    times = Times()
    made.socket("trivial")
    made.settle()
    before = standing(made)
    for _ in range(number):
        times.take("in a row", lambda: made.socket("trivial"))
    made.settle()
    after = standing(made)
    return times, {name: (before[name], after[name]) for name in before}


def standing(made: Bench) -> dict[str, int]:
    """What the daemon and its fork server hold."""
    daemon = next(pid for pid, _ in client.daemons(made.environment))
    children = Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
    pids = [daemon, *map(int, children)]
    return {
        "memory of daemon and fork server (KiB)": sum(private(pid) for pid in pids),
        "their descriptors": sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids),
        "processes": len(list(below(daemon))),
        "temporary files": len(list(Path(tempfile.gettempdir()).glob("runbook-*/**/*"))),
    }


def private(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"^Private_\w+:\s+(\d+)", text, re.MULTILINE))


def below(pid: int) -> Iterator[int]:
    for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        yield child
        yield from below(child)


def waiting_kernels(made: Bench) -> list[int]:
    """The private memory of the kernels that wait, each with its keeper, in KiB."""
    daemon = next(pid for pid, _ in client.daemons(made.environment))
    titles = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in below(daemon)}
    kernels = [pid for pid, title in titles.items() if "kernel that waits" in title]
    return [private(pid) for pid in kernels]


def empty_pool(rounds: int) -> Times:
    """From the claim to the first answer of a kernel where none waits."""
    times = Times()
    folder = Path(tempfile.mkdtemp(prefix="ops-bench-"))
    server = subprocess.Popen(
        [sys.executable, "-m", "ops_lib.notebooks.forkserver", str(folder / "claims"), str(folder), RUN_VARIABLE, "0"],
        cwd="/", env={**os.environ, RUN_VARIABLE: "-" * 26, "PYTHONPATH": str(REPOSITORY)}, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert server.stdin
    assert server.stdout
    server.stdout.readline()
    for _ in range(rounds):
        kernel = ClaimedKernel(folder / "claims", Path(tempfile.mkdtemp(prefix="ops-run-")), {}, variable=RUN_VARIABLE)
        began = time.perf_counter()
        wire = Wire(kernel.start(), kernel.ended)
        wire.ready(30)
        times.put("empty", (time.perf_counter() - began) * 1000)
        times.take("noticed", partial(dies, wire))
        wire.close()
        kernel.end()
    server.stdin.close()
    server.wait()
    shutil.rmtree(folder, ignore_errors=True)
    return times


def dies(wire: Wire) -> None:
    """A kernel kills itself, and it is seen that it is gone."""
    wire.request("execute_request", {"code": "import os; os.kill(os.getpid(), 9)", "silent": True})
    with suppress(DeadKernelError):
        while wire.next(time.monotonic() + 30):
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few rounds, to see that it works")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the section into this file")
    given = parser.parse_args()
    rounds, more, row = (3, 1, 50) if given.quick else (10, 3, 1000)
    peer()
    with bench() as made:
        made.daemon_is_up()
        memory = waiting_kernels(made)
        tables = compare(made, rounds)
        big = large(made, more)
        times, growth = in_a_row(made, row)
    lines = [*report(tables, big, times, growth, memory, empty_pool(rounds), rounds)]
    sys.stdout.write("\n".join(lines) + "\n")
    if given.write:
        write(given.write, "engine", lines)


if __name__ == "__main__":
    main()
