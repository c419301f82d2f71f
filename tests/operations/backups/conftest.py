"""Backups of real databases, kept below a folder of their own."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops_lib.archive.keys import Keys
from ops_lib.archive.repository import Repository
from ops_lib.model.backup import Backup, Kind
from ops_lib.model.target import Login
from ops_lib.operations.backups.back_up import Order, back_up
from ops_lib.operations.backups.shelf import Shelf
from tests.conftest import open_session

SMALL = """
CREATE TABLE team (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE game (id bigserial PRIMARY KEY, team int REFERENCES team, at timestamptz NOT NULL, odds float8);
CREATE INDEX game_at ON game (at);
CREATE SCHEMA "Odd Names";
CREATE TABLE "Odd Names"."T r" (r text, j jsonb);
INSERT INTO team SELECT n, 'team ' || n FROM generate_series(1, 40) AS n;
INSERT INTO game (team, at, odds) SELECT 1 + n % 40, '2026-01-01Z'::timestamptz + n * interval '1 min', sqrt(n)
FROM generate_series(1, 5000) AS n;
INSERT INTO "Odd Names"."T r" VALUES (NULL, NULL), ('x', '{"a": 1}'), ('x', '{"a": 1}');
"""


def make_shelf(folder: Path) -> Shelf:
    """A shelf below a folder, with a key of its own."""
    return Shelf(
        repository=Repository(folder / "backups", Keys(folder / "keys"), folder / "archive"),
        drills=folder / "drills",
        clock=lambda: datetime.now(UTC),
        randomness=os.urandom,
        environment={"PATH": os.defpath, "HOME": str(folder)},
    )


@pytest.fixture
def shelf(state_folder: Path) -> Shelf:
    """An empty shelf."""
    return make_shelf(state_folder)


@pytest.fixture
def small(database: Login) -> Login:
    """A small database with what backups trip over: odd names, duplicates, nulls, a sequence."""
    with open_session(database) as session:
        session.execute(SMALL)
    return database


Take = Callable[..., Backup]


@pytest.fixture
def take(shelf: Shelf, small: Login) -> Take:
    """Takes a backup of the small database."""

    def taken(kind: Kind = Kind.LOGICAL, **more: object) -> Backup:
        return back_up(shelf, small, Order(target="small", kind=kind, **more))

    return taken
