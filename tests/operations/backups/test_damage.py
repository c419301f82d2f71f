"""Damaged backups: every one is caught, by the check that is meant to.

A sample in `make test`; 500 with RUNBOOK_CRASH=whole. RUNBOOK_SEED repeats a sample.
"""

import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest

from ops_lib.model.backup import Kind
from ops_lib.model.retention import Retention
from ops_lib.model.target import Login
from ops_lib.operations.backups.back_up import Order, back_up
from ops_lib.operations.backups.drill import drill
from ops_lib.operations.backups.examination import Question
from ops_lib.operations.backups.retain import retain
from ops_lib.operations.backups.shelf import Shelf
from ops_lib.postgres import binaries
from ops_lib.postgres.backups import wal
from ops_lib.postgres.server import EmbeddedServer
from tests.conftest import open_session
from tests.eventually import eventually
from tests.operations.backups import damage
from tests.operations.backups.conftest import SMALL, make_shelf
from tests.operations.backups.damage import ARCHIVED, BEFALLEN, MADE_SO, Scene

WHOLE = os.environ.get("RUNBOOK_CRASH") == "whole"
SEED = int(os.environ.get("RUNBOOK_SEED") or time.time_ns() % 1_000_000_000)
Case = tuple[damage.Damage, str, set[str]]
CASES: list[Case] = [(act, kind, caught) for act, (kinds, caught) in {**BEFALLEN, **MADE_SO}.items() for kind in kinds]
TRIALS = 500 if WHOLE else len({act for act, _, _ in CASES})


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Backups of a small cluster, and the same of another one; none of them is ever damaged itself."""

    folder: Path
    shelf: Shelf
    of: dict[str, Path]
    strangers: dict[str, Path]
    parent: Path
    index: str
    wal: Path
    moment: datetime

    def scene(self, kind: str, chance: random.Random, to: Path) -> Scene:
        """A copy to damage."""
        shelf = make_shelf(to)
        shelf = replace(shelf, drills=self.shelf.drills)
        shelf.repository._keys = self.shelf.repository._keys
        root = shelf.repository.root
        damage.clone(self.of[kind], root / self.of[kind].name)
        stranger = self.strangers.get(kind, self.strangers["physical"])
        damage.clone(stranger, root / stranger.name)
        parent = None
        if kind == damage.INCREMENTAL:
            parent = root / self.parent.name
            damage.clone(self.parent, parent)
        archive = root / "wal" / self.wal.name
        if kind == ARCHIVED:
            damage.clone(self.wal, archive)
        return Scene(
            shelf=shelf, folder=root / self.of[kind].name, stranger=root / stranger.name, chance=chance,
            index=self.index, wal=archive, parent=parent,
        )  # fmt: skip


def _cluster(folder: Path) -> tuple[EmbeddedServer, Login]:
    """A small cluster without page checksums, so that only what looks inside finds a changed page."""
    server = EmbeddedServer(folder)
    server.start()
    server.stop()
    account = binaries.account_for(server.data)
    server._call("pg_checksums", "--disable", "--no-sync", "-D", str(server.data))
    assert account
    server.start()
    with open_session(server.login(dbname="postgres")) as session:
        session.execute("CREATE DATABASE small")
    login = server.login(dbname="small")
    with open_session(login) as session:
        session.execute(SMALL)
    return server, login


@pytest.fixture(scope="module")
def corpus() -> Iterator[Corpus]:
    """Taken once for all trials."""
    folder = Path(tempfile.mkdtemp(prefix="ops-"))
    folder.chmod(0o711)
    servers: list[EmbeddedServer] = []
    try:
        server, login = _cluster(folder / "one")
        servers.append(server)
        shelf, other = make_shelf(folder), make_shelf(folder / "other")
        other.repository._keys = shelf.repository._keys
        taken = {kind: _take(shelf, login, kind) for kind in (Kind.LOGICAL, Kind.PHYSICAL)}
        with open_session(login) as session:
            (index,) = session.execute("SELECT pg_relation_filepath('game_pkey')").fetchone()
            (system,) = session.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
        archive = shelf.repository.root / "wal" / system
        wal.archive_into(server, archive)
        parent = _take(shelf, login, Kind.PHYSICAL)
        with open_session(login) as session:
            session.execute("INSERT INTO team SELECT n, 'new' FROM generate_series(100, 200) AS n")
        incremental = _take(shelf, login, Kind.INCREMENTAL)
        archived = _take(shelf, login, Kind.PHYSICAL)
        moment = _fill(login, archive)
        server.stop()
        server, login = _cluster(folder / "two")
        servers.append(server)
        strangers = {kind: _take(other, login, kind) for kind in (Kind.LOGICAL, Kind.PHYSICAL)}
        server.stop()
        yield Corpus(
            folder=folder, shelf=shelf, of={**taken, "incremental": incremental, ARCHIVED: archived},
            strangers=strangers, parent=parent, index=index, wal=archive, moment=moment,
        )  # fmt: skip
    finally:
        for server in servers:
            server.remove()
        shutil.rmtree(folder, ignore_errors=True)


def _sample(trial: int, chance: random.Random) -> Case:
    """Every damage once, to one of the kinds that it may befall."""
    act = sorted({act for act, _, _ in CASES}, key=lambda act: act.__name__)[trial]
    return chance.choice([case for case in CASES if case[0] is act])


def _take(shelf: Shelf, login: Login, kind: Kind) -> Path:
    return shelf.repository.folder(back_up(shelf, login, Order(target="small", kind=kind)))


def _fill(login: Login, archive: Path) -> datetime:
    """Some segments after the backup, each archived; a moment between the second and the third."""
    for number in range(4):
        if number == 2:
            moment = _now(login)
        with open_session(login) as session:
            session.execute(f"INSERT INTO team VALUES ({1000 + number}, 'late')")
            (name,) = session.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
        assert eventually((archive / name).exists)
    return moment


def _now(login: Login) -> datetime:
    with open_session(login) as session:
        (at,) = session.execute("SELECT clock_timestamp()").fetchone()
    return at


@pytest.mark.parametrize("trial", range(TRIALS))
def test_every_damage_is_caught(corpus: Corpus, trial: int):
    """The check that is meant to catch it does, and the backup is not proven."""
    chance = random.Random(f"{SEED} {trial}")
    act, kind, expected = CASES[trial % len(CASES)] if WHOLE else _sample(trial, chance)
    to = corpus.folder / f"trial-{trial}"
    try:
        scene = corpus.scene(kind, chance, to)
        act(scene)
        told = drill(scene.shelf, scene.folder, Question(system=scene.asked))
    finally:
        shutil.rmtree(to, ignore_errors=True)
    assert told.caught_by, (act.__name__, kind, SEED, told)
    assert told.caught_by.name in expected, (act.__name__, kind, SEED, told.caught_by)
    assert not told.proven


@pytest.mark.parametrize("kind", ["logical", "physical", "incremental", ARCHIVED])
def test_what_is_not_damaged_is_proven(corpus: Corpus, kind: str, tmp_path: Path):
    """The same scene without a damage has nothing to be caught."""
    to = corpus.folder / f"well-{kind}"
    scene = corpus.scene(kind, random.Random(0), to)
    told = drill(scene.shelf, scene.folder)
    shutil.rmtree(to)
    assert told.caught_by is None, told
    assert told.proven


def test_retention_takes_the_log_that_nothing_needs(corpus: Corpus):
    """What carries the oldest copy on that stays, stays."""
    scene = corpus.scene(ARCHIVED, random.Random(0), corpus.folder / "trimmed")
    needed = {path.name for path in damage._needed(scene)}
    assert needed < {path.name for path in scene.wal.iterdir()}
    shutil.rmtree(scene.stranger)
    retain(scene.shelf, Retention(daily=1), remove=True)
    assert {path.name for path in scene.wal.iterdir() if len(path.name) == 24} == needed
    assert drill(scene.shelf, scene.folder).proven


def test_a_cluster_is_brought_back_to_a_moment(corpus: Corpus):
    """With the archive of WAL, what was committed after the moment is not there."""
    scene = corpus.scene(ARCHIVED, random.Random(0), corpus.folder / "moment")
    assertions = corpus.folder / "assertions"
    assertions.mkdir()
    (assertions / "late.sql").write_text("SELECT count(*) = 2 AS two_of_four FROM team WHERE name = 'late'")
    shelf = replace(scene.shelf, assertions=assertions)
    told = drill(shelf, scene.folder, Question(until=corpus.moment))
    assert told.caught_by is None, told
    assert scene.manifest().as_of < told.recovery_point < corpus.moment
