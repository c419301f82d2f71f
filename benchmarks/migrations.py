"""What migrations cost: the clients of a busy database, and whoever waits for a thousand of them; beside the peers.

    python benchmarks/migrations.py [--part load|many] [--rounds N] [--write docs/performance.md]

`load`: six changes of the tables that pgbench writes, while somebody reads them for long. `many`: a thousand small
ones in a fresh database. In every round each tool has its turn, so that whatever else the machine does hits all alike.
The peers live in an environment of their own, made on first use. `--scale` and `--count` make it smaller.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

import migrations_load as load
from document import write
from migrations_files import HOT, Change, proven, small
from migrations_tools import ALEMBIC, ALEMBIC_EACH, DBMATE, OURS, PSQL, YOYO, Place, Tool, peers, prepared
from section import loop
from times import Times

from ops_lib.postgres import binaries

MANY = (PSQL, ALEMBIC, OURS, DBMATE, ALEMBIC_EACH, YOYO)
"""Ours stands between those that are fastest: what the machine does changes within a minute."""

PEERS = (ALEMBIC, ALEMBIC_EACH, YOYO, DBMATE)
AIM = 1.2


def under_load(place: Place, rounds: int, scale: int) -> dict[Tool, list[load.Load]]:
    load.seed(place, scale)
    seen: dict[Tool, list[load.Load]] = {tool: [] for tool in load.TOOLS}
    for number in range(rounds):
        for tool in load.TOOLS:
            result = load.measure(place, tool)
            seen[tool].append(result)
            _tell(f"round {number + 1}, {tool.name}: {result}")
    return seen


def many(place: Place, rounds: int, count: int) -> Times:
    """Each tool on a fresh database. A first round, in which Python compiles what it reads, does not count."""
    times, changes = Times(), small(count)
    for number in range(rounds + 1):
        for tool in MANY:
            whole, applying = _once(place, tool, changes)
            _tell(f"round {number}, {tool.name}: {whole:.2f} s, of it applying {applying:.2f} s")
            if number:
                times.put(f"{tool.name} whole", whole * 1000)
                times.put(tool.name, applying * 1000)
    return times


def _once(place: Place, tool: Tool, changes: Sequence[Change]) -> tuple[float, float]:
    """Seconds of the command and of the applying alone; SystemExit where not all was applied."""
    folder = tool.folder(place, changes, "many")
    with place.database("fresh") as database:
        took = tool.apply(place, folder, database)
        if took.error:
            raise SystemExit(f"{tool.name}: {took.error}")
        with place.connect(database) as session:
            done = session.execute(proven(changes).encode()).fetchone()
        if done != (len(changes),):
            raise SystemExit(f"{tool.name} applied {done} of {len(changes)}")
        idle = tool.apply(place, folder, database).whole if tool in PEERS else 0.0
    return took.whole, took.applying - idle


def load_section(seen: Mapping[Tool, Sequence[load.Load]], scale: int, versions: str) -> Iterator[str]:
    rounds = len(next(iter(seen.values())))
    yield "## Migrations under load\n"
    yield (
        f"Six migrations of the tables of pgbench (scale {scale}, {load.CLIENTS} clients), one of them an index made "
        "concurrently, behind a reader with one snapshot of all its tables; it ends "
        f"{load.READER} s after somebody began to wait for it. {rounds} interleaved rounds by "
        f"`benchmarks/migrations.py --part load`: {_machine(versions)}. Waiting is the worst of the rounds, the rest "
        "their median. *Silence* is the longest time in which no client ended a transaction.\n"
    )
    yield (
        f"| | longest transaction | clients over {load.LIMIT:.0f} s | silence | throughput meanwhile | "
        "applying | whole command | applied |\n|---|---|---|---|---|---|---|---|"
    )
    for tool, results in seen.items():
        yield _load_row(tool, results)
    before = median(each.before for results in seen.values() for each in results)
    yield (
        f"\nThroughput while it was applied is a part of the one just before, {before:,.0f} transactions a second. Our "
        "command also plans, lints and rehearses on the same machine; whom that keeps waiting is counted too."
    )


def _load_row(tool: Tool, results: Sequence[load.Load]) -> str:
    cells = [
        tool.name,
        f"{max(each.longest for each in results):.2f} s",
        f"{max(each.waited for each in results)} of {load.CLIENTS}",
        f"{max(each.silent for each in results):.2f} s",
        f"{median(each.kept for each in results):.0%}",
    ]
    if tool not in load.FLOORS:
        cells += [
            f"{median(each.applying for each in results):.1f} s",
            f"{median(each.whole for each in results):.1f} s",
            f"{min(each.applied for each in results)} of {len(HOT)}",
        ]
    return f"| {' | '.join(cells)} |" + " |" * (8 - len(cells))


def many_section(times: Times, rounds: int, count: int, versions: str) -> Iterator[str]:
    yield f"## {count:,} small migrations\n"
    yield (
        "Tables, columns, indexes, comments and rows, each with its way back, into a fresh database: median / 95th "
        f"percentile in milliseconds of {rounds} interleaved rounds by `benchmarks/migrations.py --part many`: "
        f"{_machine(versions)}. *Applying* is, for us, the step of that name in the record; for the peers, the command "
        "less the same command with nothing left to do, which reads the files as well. The rest of our command plans, "
        "lints, rehearses both ways on a copy, verifies and seals a record. alembic's template puts all into one "
        "transaction; all others commit each migration, with its row in a history that psql does not keep. *Ours to "
        f"it* is our applying divided by that figure, median of the rounds (aimed at {AIM} for the fastest peer).\n"
    )
    yield "| | applying | ours to it | whole command | ours to it |\n|---|---|---|---|---|"
    for tool in MANY:
        figures = (tool.name, f"{tool.name} whole")
        cells = [part for each in figures for part in (times.shown(each), f"{times.ratio(OURS.name, each):.2f}")]
        yield f"| {tool.name} | {' | '.join(cells)} |"


def _machine(versions: str) -> str:
    return (
        f"{os.cpu_count()} cores, load at the end {os.getloadavg()[0]:.1f}, a million additions in Python "
        f"{loop():.0f} ms, PostgreSQL {binaries.version()}, {versions}"
    )


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("load", "many"), help="one of the two (default: both)")
    parser.add_argument("--rounds", type=int, help="(default: 3 under load, 5 of many)")
    parser.add_argument("--scale", type=int, default=50, help="of pgbench (default: %(default)s)")
    parser.add_argument("--count", type=int, default=1000, help="of small migrations (default: %(default)s)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the sections into this file")
    given = parser.parse_args()
    for mark, lines in _sections(given):
        sys.stdout.write("\n".join(lines) + "\n\n")
        if given.write:
            write(given.write, mark, lines)


def _sections(given: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Each by the name of its marks, as soon as it is measured."""
    versions = peers()
    with prepared() as place:
        if given.part != "load":
            times = many(place, rounds := given.rounds or 5, given.count)
            yield "migrations", [*many_section(times, rounds, given.count, versions)]
        if given.part != "many":
            seen = under_load(place, given.rounds or 3, given.scale)
            yield "migrations under load", [*load_section(seen, given.scale, versions)]


if __name__ == "__main__":
    main()
