"""Whatever is changed in an archive is noticed, and what was not changed raises no alarm."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import Records
from ops_lib.archive.staging import Staging
from ops_lib.archive.verification import verify_archive
from ops_lib.model import ulid
from ops_lib.model.ledger import EntryKind
from tests.crash import medium, story, tamper
from tests.figures import WHOLE, Figures

RUNS = 3
SMALL = ("record.json", "proof.json", "ledger.jsonl", "head", "key.vkey")
LARGE = ("notebook.ipynb", "report.html", "journal.jsonl", "attachments/evidence.txt")
LARGE_BITS, SEEDS, CLEAN = (10_000, 1_000, 10_000) if WHOLE else (200, 2, 200)
SMALL_BITS = 100
RECORDS = 10_000 if WHOLE else 100
SECONDS_FOR_ALL = 30 if WHOLE else 3


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """A folder in memory."""
    with medium.scratch_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def archives(scratch: Path) -> tuple[Path, Path]:
    """An archive, and what it was before its last run."""
    older = tamper.grow(scratch, range(RUNS - 1))
    medium.fresh(older, scratch / "older")
    return tamper.grow(scratch, [RUNS - 1]), scratch / "older"


@pytest.fixture(scope="module")
def workers() -> Iterator[ProcessPoolExecutor]:
    """Two processes that look for what stays unseen."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        yield executor


def shards(items: list[int], count: int = 8) -> list[list[int]]:
    """Items in some parts of about the same size."""
    return [items[start::count] for start in range(count)]


def path_of(archive: Path, name: str) -> Path:
    """A file of the archive, or of its second record."""
    whole = archive / name
    return whole if whole.exists() else tamper.folders(archive)[1] / name


@pytest.mark.parametrize("name", SMALL)
def test_every_bit_of_a_small_file_counts(
    archives: tuple[Path, Path], workers: ProcessPoolExecutor, figures: Figures, chance: random.Random, name: str
) -> None:
    """Record, proof, ledger, head and key: each changed bit is noticed, with the ledger and without it."""
    path = path_of(archives[0], name)
    bits = list(range(path.stat().st_size * 8))
    flip(archives[0], path, bits if WHOLE else chance.sample(bits, min(SMALL_BITS, len(bits))), workers, figures)


@pytest.mark.parametrize("name", LARGE)
def test_a_bit_of_a_large_file_counts(
    archives: tuple[Path, Path], workers: ProcessPoolExecutor, figures: Figures, chance: random.Random, name: str
) -> None:
    """Notebook, report, journal and attachment: each of the sampled bits is noticed."""
    path = path_of(archives[0], name)
    size = path.stat().st_size * 8
    flip(archives[0], path, [chance.randrange(size) for _ in range(LARGE_BITS // len(LARGE))], workers, figures)


def flip(archive: Path, path: Path, bits: list[int], workers: ProcessPoolExecutor, figures: Figures) -> None:
    """Change bits one at a time; all must be noticed."""
    name = str(path.relative_to(archive))
    missed = [bit for found in workers.map(partial(tamper.unseen, str(archive), name), shards(bits)) for bit in found]
    figures.add("changed bits", file=path.name, of=path.stat().st_size * 8, bits=len(bits), unseen=len(missed))
    assert not missed, f"{name}: bits {missed[:20]} can be changed unseen"


@pytest.mark.parametrize("name", tamper.ATTACKS)
def test_an_attack_is_noticed(
    archives: tuple[Path, Path], workers: ProcessPoolExecutor, figures: Figures, chance: random.Random, name: str
) -> None:
    """Whatever is removed, added, swapped, cut, reordered or put back, against the key and a head that were kept."""
    seeds = [chance.randrange(1 << 32) for _ in range(SEEDS)]
    attack = partial(tamper.unseen_attacks, (str(archives[0]), str(archives[1])), name)
    missed = [seed for found in workers.map(attack, shards(seeds)) for seed in found]
    figures.add("attacks", attack=name, seeds=len(seeds), unseen=len(missed))
    assert not missed, f"{name} stays unseen with the seeds {missed[:20]}"


def test_what_was_not_changed_raises_no_alarm(
    archives: tuple[Path, Path], workers: ProcessPoolExecutor, figures: Figures
) -> None:
    """Many verifications of archives that nobody touched."""
    parts = [CLEAN // 4] * 2
    alarms = sum(sum(workers.map(tamper.alarms, map(str, [archive] * 2), parts)) for archive in archives)
    figures.add("clean verifications", verifications=CLEAN, alarms=alarms)
    assert alarms == 0


def test_many_records_verify_quickly(scratch: Path, figures: Figures) -> None:
    """Ten thousand records in half a minute."""
    root = scratch / "many" / "outputs"
    desk = story.desk(root)
    for number in range(RECORDS):
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
        staging = Staging.create(root, ulid.make(at, number.to_bytes(10)))
        staging.append({"kind": "opened", "at": "2026-01-01T00:00:00.000Z"}, durable=True)
        Ledger(root, desk.keys).append(EntryKind.INTENT, at=at, who="ana", run_id=staging.run_id, body={"n": number})
        staging.write("notebook.ipynb", b'{"cells": []}' + b" " * 4000)
        staging.write("report.html", b"<!doctype html>" + b" " * 8000)
        Records(root, desk.keys).seal(staging, {"outcome": "succeeded", "n": number}, at=at, who="ana")
    began = time.process_time()  # other tests may run beside this one
    found = verify_archive(root)
    seconds = round(time.process_time() - began, 2)
    figures.add("many records", records=found.records, seconds=seconds, alarms=len(found.faults))
    assert found.records == RECORDS
    assert not found.faults
    assert seconds < SECONDS_FOR_ALL
