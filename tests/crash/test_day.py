"""A day of schedules in minutes: two machines tick on one archive, and are killed at random moments.

Every due time ends as one run or in one missed entry, and none has an effect twice.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from ops_lib.archive.ledger import Ledger
from ops_lib.archive.verification import verify_archive
from ops_lib.model.cron import parse_cron
from ops_lib.model.ledger import EntryKind
from ops_lib.model.schedule import Missed
from ops_lib.model.times import format_instant, parse_instant
from ops_lib.operations.recover import recover
from tests.crash.pool import REPOSITORY
from tests.crash.ticker import DAY, MIDNIGHT, REAL, WITNESS, desk_of, tick_once
from tests.figures import WHOLE, Figures

SCHEDULES, KILLS, SECONDS = (500, 40, 240) if WHOLE else (20, 6, 10)
REALLY = (REAL, 12, 6, 30) if WHOLE else (REAL, 2, 2, 8)
OFTEN = ("{} * * * * UTC", "{} */2 * * * UTC", "{} */6 * * * Europe/London", "{} 1 * * * Europe/London")
RUNBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {},
    "cells": [
        {
            "cell_type": "raw", "id": "front", "metadata": {},
            "source": "---\nid: TST-001\ntitle: A test\nhazard: read-only\nowner: ana\ntimeout: 60s\n---",
        },
        {
            "cell_type": "code", "id": "c", "metadata": {}, "outputs": [], "execution_count": None,
            "source": "import os; open(WITNESS, 'a').write(os.environ['RUNBOOK_RUN_ID'] + chr(10))",
        },
    ],
}  # fmt: skip


@dataclass
class Day:
    """A folder with an archive and its schedules, and the processes that tick on it."""

    folder: Path
    seconds: int
    runs: str
    began: float = 0.0

    def begin(self) -> None:
        """Midnight: the schedules are seen for the first time."""
        tick_once(desk_of(self.folder, began=time.time(), speed=0), self.folder)
        self.began = time.time()

    def start(self) -> "subprocess.Popen[bytes]":
        """Another ticker."""
        speed = DAY.total_seconds() / self.seconds
        command = [sys.executable, "-m", "tests.crash.ticker", str(self.folder), str(self.began), str(speed), self.runs]
        return subprocess.Popen(command, cwd=REPOSITORY, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})

    def kill_at_random(self, chance: random.Random, kills: int) -> None:
        """Two tickers from midnight to midnight; one of them is killed at each of some moments, and begins anew."""
        tickers = [self.start(), self.start()]
        for moment in sorted(chance.uniform(0, self.seconds) for _ in range(kills)):
            time.sleep(max(0.0, self.began + moment - time.time()))
            victim = chance.randrange(2)
            tickers[victim].kill()
            tickers[victim].wait()
            tickers[victim] = self.start()
        for ticker in tickers:
            assert ticker.wait(timeout=900) == 0


def make_day(folder: Path, chance: random.Random, *, schedules: int, seconds: int, runs: str) -> Day:
    """Schedules of every frequency and every policy, one runbook; the first one is run however late it is."""
    (folder / "runbooks").mkdir()
    notebook = json.dumps(RUNBOOK).replace("WITNESS", repr(str(folder / WITNESS)))
    (folder / "runbooks/tst-001-a-test.ipynb").write_text(notebook)
    weights = (1, 4, 5, 15)
    entries = {
        f"s{number:03}": {
            "runbook": "TST-001",
            "when": chance.choices(OFTEN, weights)[0].format(chance.randrange(60)),
            "missed": chance.choice([*Missed]).value if number else Missed.LAST.value,
        }
        for number in range(schedules)
    }
    (folder / "schedules.yaml").write_text(yaml.safe_dump(entries))
    return Day(folder=folder, seconds=seconds, runs=runs)


@pytest.mark.parametrize(("runs", "schedules", "kills", "seconds"), [("stand-ins", SCHEDULES, KILLS, SECONDS), REALLY])
def test_every_due_time_is_run_once_or_missed_once(
    tmp_path: Path, chance: random.Random, figures: Figures, runs: str, schedules: int, kills: int, seconds: int
) -> None:
    """The ledger accounts for each due time of the day exactly once; the witness saw no effect twice."""
    day = make_day(tmp_path, chance, schedules=schedules, seconds=seconds, runs=runs)
    day.begin()
    day.kill_at_random(chance, kills)
    desk = desk_of(day.folder, began=0, speed=1)
    assert recover(desk).failed == {}
    assert tick_once(desk, day.folder) == []
    ran, missed = settled(day)
    due = expected(day)
    assert Counter(ran.values()) + Counter(missed) == Counter(due), "each due time once, as the one or the other"
    witness = day.folder / WITNESS
    seen = Counter(witness.read_text().splitlines() if witness.exists() else ())
    assert set(seen.values()) <= {1}, "an effect was had twice"
    assert set(seen) <= set(ran), "a run that nobody claimed had an effect"
    verified = verify_archive(desk.archive)
    assert (verified.faults, verified.unfinished) == ((), ())
    assert verified.records == len(ran)
    figures.add(
        "a day of schedules", runs=runs, schedules=schedules, kills=kills, due=len(due), ran=len(ran),
        without_effect=len(ran) - len(seen), missed=len(missed), wrong=0,
    )  # fmt: skip


def settled(day: Day) -> tuple[dict[str, tuple[str, str]], list[tuple[str, str]]]:
    """What the ledger says: the due time of each run, and those that were missed; a due time is a schedule's."""
    when = {name: parse_cron(entry["when"]) for name, entry in entries_of(day).items()}
    ran, missed = {}, []
    for entry in Ledger(day.folder / "outputs").entries():
        if entry.kind == EntryKind.INTENT:
            ran[str(entry.run_id)] = (entry.body["cause"]["who"], entry.body["scheduled_for"])
        elif entry.kind == EntryKind.MISSED:
            name, last = entry.body["schedule"], parse_instant(entry.body["last"])
            first = parse_instant(entry.body["first"])
            times = [first, *when[name].between(first, last)]
            assert len(times) == entry.body["count"]
            missed += [(name, format_instant(at)) for at in times]
    return ran, missed


def expected(day: Day) -> list[tuple[str, str]]:
    """Every due time of the day."""
    return [
        (name, format_instant(at))
        for name, entry in entries_of(day).items()
        for at in parse_cron(entry["when"]).between(MIDNIGHT, MIDNIGHT + DAY)
    ]


def entries_of(day: Day) -> dict[str, dict[str, str]]:
    """The schedules of the day."""
    entries: dict[str, dict[str, str]] = yaml.safe_load((day.folder / "schedules.yaml").read_text())
    return entries
