"""What `benchmarks/engine.py` says: the section of docs/performance.md."""

import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

from times import Times

NAMES = {
    "floor": "the cells in a warm IPython",
    "socket": "at the daemon: request to notebook, report and record fsynced",
    "shell": "`runbook run` from the shell",
    "engine": "`papermill --engine runbook`, kernels waiting",
    "engine alone": "`papermill --engine runbook`, a kernel started for it",
    "papermill": "papermill",
    "papermill + nbconvert": "papermill, then nbconvert to HTML",
}


def overhead(times: Times, name: str) -> str:
    less = Times({"x": [max(0.0, t - f) for t, f in zip(times.of[name], times.of["floor"], strict=True)]})
    return less.shown("x")


def loop() -> float:
    """How long this machine takes for a million additions in Python, in milliseconds."""
    began, total = time.perf_counter(), 0
    for number in range(1_000_000):
        total += number
    return (time.perf_counter() - began) * 1000


def report(tables: Mapping[str, Times], big: Times, row: Times, growth: Mapping[str, tuple[int, int]],
           memory: Sequence[int], empty: Times, rounds: int) -> Iterator[str]:  # fmt: skip
    trivial, realistic = tables["trivial"], tables["realistic"]
    load = os.getloadavg()[0]
    yield "## Running\n"
    yield (
        f"Median / 95th percentile in milliseconds of {rounds} interleaved rounds by `make bench-engine`: "
        f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, load at the end {load:.1f}. *Overhead* is what a "
        "run takes beyond its cells in a warm IPython. The peer is the papermill command with the same pinned packages "
        "in an environment without jupyterlab, which makes it a second faster; it neither journals, signs nor "
        f"renders. A loop of a million additions took {loop():.0f} ms here: absolute times depend on that.\n"
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
        ("20 MB of pictures, of which a record keeps 9", big.ratio("pictures papermill", "pictures shell"), "5"),
        ("16 at once, to the end of the last", big.ratio("burst papermill", "burst shell"), "5"),
    ):
        yield f"| {text} | {value:.1f} | {aim} |"
    each = statistics.median(
        (many - few) / 195 for many, few in zip(big.of["many socket"], big.of["few socket"], strict=True)
    )
    yield f"\n- Each further code cell: {each:.1f} ms (aimed at 4)."
    yield (
        f"- {len(row.of['in a row'])} runs in a row at the daemon: median {row.p('in a row', 50):.0f} ms, "
        f"99th percentile {row.p('in a row', 99):.0f} ms, slowest {max(row.of['in a row']):.0f} ms."
    )
    grown = "; ".join(f"{name} {before:,} to {after:,}" for name, (before, after) in growth.items())
    yield f"- What they left, before and after: {grown}."
    yield f"- A kernel that waits: {max(memory) / 1024:.1f} MiB of private memory (aimed at 30)."
    yield f"- A kernel where none waits: {empty.shown('empty')} ms from the claim to its first answer (aimed at 100)."
    yield f"- A kernel that is killed: noticed after {empty.shown('noticed')} ms (aimed at 1,000)."
    yield (
        "- In the 15 cells, part of the gain is that pandas, SQLAlchemy and matplotlib are imported already: a kernel "
        "that papermill starts spends more than half a second on that."
    )
