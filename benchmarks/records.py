"""How long the first page of a search takes, by the number of records, and what a plain scan would take.

    python benchmarks/records.py [--records 100000 1000000] [--folders 2000] [--write docs/performance.md]

Rows and words of the index are those of made-up records (benchmarks/synthetic.py), computed by the code that indexes
real ones. A pool of distinct records is made up; each row has an id and three words of its own besides, and no folders
are written. Rebuilding and the plain scan are measured on real folders, and said to be extrapolated where they are.
"""

import argparse
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.document import write
from benchmarks.synthetic import BEGAN, SPAN, contents, made_up, run_ids
from ops_lib.archive.index import Index, entry_for
from ops_lib.archive.indexing import NAME, consult, empty, reindex
from ops_lib.archive.records import Records
from ops_lib.model.search import Label, Query, asked

SEED, POOL, PAGE, ROUNDS = 20260101, 5_000, 20, 60
_LAST_MONTH = BEGAN + SPAN - timedelta(days=30)
_WHOSE = ((Label.RUNBOOK, "SOP-004"), (Label.TARGET, "prod"), (Label.PERSON, "ana"))
QUERIES: tuple[tuple[str, Query], ...] = (
    ("no words", Query()),
    ("a rare word", asked("rare77")),
    ("a word in every record", asked("select")),
    ("two words in every record", asked("lock statistics")),
    ("two common words that rarely meet", asked("interrupted missing-index")),
    ("a common beginning (st*)", asked("st*")),
    ("a longer common beginning (statis*)", asked("statis*")),
    ("word + outcome + 30 days", replace(asked("mart"), labels=((Label.OUTCOME, "failed"),), since=_LAST_MONTH)),
    ("word in every record + rarest outcome", replace(asked("select"), labels=((Label.OUTCOME, "refused"),))),
    ("runbook + target + person", Query(labels=_WHOSE)),
    ("nothing holds it", asked("nowhere")),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--folders", type=int, default=20_000)
    parser.add_argument("--write", type=Path, help="put the section into this file")
    given = parser.parse_args()
    section = "\n".join([*_searches(given.records), "", *_folders(given.folders, given.records[0])])
    sys.stdout.write(f"{section}\n")
    if given.write:
        write(given.write, "records", section.splitlines())


def _searches(counts: Sequence[int]) -> Iterator[str]:
    """Tables of first pages, one column a count."""
    yield "## Finding records"
    yield ""
    yield (
        f"First page ({PAGE} records, newest first), opening the index and looking whether it is up to date included: "
        f"median / 95th percentile in milliseconds of {ROUNDS} rounds. Made by `make bench-records`, seed {SEED}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}."
    )
    yield ""
    columns = [_measured(count) for count in counts]
    yield f"| | {' | '.join(f'{count:,} records' for count in counts)} |"
    yield f"|---|{'---|' * len(counts)}"
    for row in zip(*columns, strict=True):
        yield f"| {row[0][0]} | {' | '.join(value for _, value in row)} |"


def _measured(count: int) -> list[tuple[str, str]]:
    """What one index of `count` runs answers how fast, and how large it is."""
    root = Path(tempfile.mkdtemp(prefix="bench-records-"))
    try:
        began = time.perf_counter()
        _fill(root, count)
        seconds = time.perf_counter() - began
        sys.stderr.write(f"{count:,} records are indexed in {seconds:.0f} s\n")
        rows = [_said(name, _first_page(root, query)) for name, query in QUERIES]
        size = (root / "index.sqlite").stat().st_size / 2**20
        return [*rows, ("size of the index", f"{size:,.0f} MiB"), ("rows a second, filled", f"{count / seconds:,.0f}")]
    finally:
        shutil.rmtree(root)


def _said(name: str, value: str) -> tuple[str, str]:
    """A row, told at once: a million records take a while, and what was measured should not be lost with the rest."""
    sys.stderr.write(f"  {name}: {value}\n")
    return name, value


def _fill(root: Path, count: int) -> None:
    """An index of `count` runs without their folders: words of a pool of records, and three of its own for each run."""
    pool = [entry_for(*made_up(run_id)) for run_id in run_ids(min(POOL, count), SEED)]
    with empty(root / NAME) as connection:
        index = Index(root, connection)
        ids = run_ids(count, SEED + 1)
        for first in range(0, count, 20_000):
            with index.writing():
                for number, run_id in zip(range(first, min(first + 20_000, count)), ids, strict=False):
                    summary, words = pool[(number * 7919) % len(pool)]
                    rare = f"rare{number % max(1, count // 5)}"
                    index.add(replace(summary, run_id=run_id), f"{words} {rare} own{number} incident{number * 31}")


def _first_page(root: Path, query: Query) -> str:
    def page(index: Index) -> int:
        return sum(1 for _ in zip(range(PAGE), index.search(query), strict=False))

    times = _timed(lambda: consult(root, page))
    return f"{median(times):.1f} / {quantiles(times, n=20)[-1]:.1f}"


def _timed(ask: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """Milliseconds of each round, after one that is not counted."""
    ask()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        ask()
        times.append((time.perf_counter() - began) * 1000)
    return times


def _folders(count: int, many: int) -> Iterator[str]:
    """What real folders cost: to index them, to look for a word in all of them, and to start the command."""
    root = Path(tempfile.mkdtemp(prefix="bench-records-"))
    try:
        kept = Records(root)
        for run_id in run_ids(count, SEED):
            folder = kept.folder_of(run_id)
            folder.mkdir(parents=True)
            for name, content in contents(run_id).items():
                (folder / name).write_bytes(content)
        size = sum(path.stat().st_size for path in root.rglob("record.json")) / count / 1024
        began = time.perf_counter()
        reindex(root, lambda _: None)
        rebuilt = time.perf_counter() - began
        files = [str(path) for path in root.rglob("record.json")]
        scan = median(_timed(lambda: subprocess.run(["grep", "-l", "-w", "nowhere", *files], check=False), 5))
        page = median(_timed(lambda: consult(root, lambda index: [*index.search(asked("nowhere"))])))
        command = median(_timed(lambda: _command(root), 10))
    finally:
        shutil.rmtree(root)
    yield f"On {count:,} real folders (record.json of {size:.1f} KiB; production records are larger, up to 80 KiB):"
    yield ""
    yield f"- `runbook reindex`: {rebuilt:.1f} s, {count / rebuilt:,.0f} records a second, one process."
    yield (
        f"- A plain scan (`grep -w` over every record.json, all of them in the page cache): {scan:.0f} ms; the index: "
        f"{page:.1f} ms. At {many:,} records grep would take about {scan * many / count / 1000:.1f} s, extrapolated in "
        "proportion; it reads neither outputs nor labels."
    )
    yield f"- `runbook records lock timeout` as a command, from the start of Python to the last line: {command:.0f} ms."


def _command(root: Path) -> None:
    program = [sys.executable, "-m", "ops_lib.cli.main", "records", "lock", "timeout", "--archive", str(root)]
    subprocess.run(program, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
