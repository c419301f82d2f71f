"""Migrations: the changes that a folder of files asks for, and what a database has had of them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

NOTHING = "0"
"""What stands for the database before its first migration."""


class Layout(StrEnum):
    """Whose habits a folder follows: how its files are named and parted, and which table is its history."""

    PLAIN = "plain"
    DIESEL = "diesel"
    DBMATE = "dbmate"
    GOOSE = "goose"
    FLYWAY = "flyway"
    ALEMBIC = "alembic"


class Direction(StrEnum):
    """Which way a database goes."""

    APPLY = "apply"
    REVERT = "revert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """SQL that belongs to a migration, and where in a file it stands.

    `first_line` is the line of `file`, from 1, on which `text` begins. `transaction` is false where the file says that
    it cannot be one transaction, and `batches` true where it says that its one UPDATE is done in batches of rows.
    """

    file: Path
    text: str
    first_line: int = 1
    transaction: bool = True
    batches: bool = False

    @property
    def digest(self) -> str:
        """Of what is done and of how it is parted, which may be said outside of its text."""
        told = f"{self.transaction} {self.batches}\0{self.text}"
        return hashlib.sha256(told.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the comment at the top of a file says: the handbook's lines, and the optional ones."""

    title: str | None = None
    author: str | None = None
    date: str | None = None
    breaking: bool = False
    affects: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One change, its way back and its proof, where there are files for those.

    `version` is what the history of its layout calls it. `checksum` is in the form of that history, and empty where it
    keeps none. `repeated` ones run after all others, and again whenever their text has changed.
    """

    version: str
    description: str
    up: Script
    down: Script | None = None
    verify: Script | None = None
    repeated: bool = False
    checksum: str = ""
    header: Header = field(default_factory=Header)

    @property
    def name(self) -> str:
        """How people call it: the name of its file, or of its folder where the file is called up.sql."""
        return self.up.file.parent.name if self.up.file.stem == "up" else self.up.file.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """All migrations of a folder, in the order in which they are applied."""

    path: Path
    layout: Layout
    migrations: tuple[Migration, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """One migration that a database has had. `checksum` and `at` are empty where its history does not keep them."""

    version: str
    checksum: str | None = None
    at: str | None = None


def pending(folder: Folder, history: Mapping[str, Applied]) -> list[Migration]:
    """What a database still needs, in order: what it has not had, and repeated ones that have changed."""
    return [each for each in folder.migrations if each.version not in history or _changed(each, history, repeated=True)]


def edited(folder: Folder, history: Mapping[str, Applied]) -> list[Migration]:
    """Files that were changed after they had been applied; none of those that are meant to be."""
    return [each for each in folder.migrations if _changed(each, history, repeated=False)]


def orphaned(folder: Folder, history: Mapping[str, Applied]) -> list[Applied]:
    """What a database has had and the folder has no file for."""
    known = {each.version for each in folder.migrations}
    return [applied for version, applied in history.items() if version not in known]


def overtaken(folder: Folder, history: Mapping[str, Applied]) -> list[Migration]:
    """Pending files that stand before one which the database has had already: written earlier, merged later."""
    numbered = [each for each in folder.migrations if not each.repeated]
    last = max((place for place, each in enumerate(numbered) if each.version in history), default=-1)
    return [each for each in numbered[: last + 1] if each.version not in history]


def to_revert(folder: Folder, history: Mapping[str, Applied], to: str) -> list[Migration]:
    """What has to be undone, the latest first, until `to` is the last one that the database has had; `0` is none."""
    numbered = [each for each in folder.migrations if not each.repeated and each.version in history]
    versions = [each.version for each in numbered]
    if to == NOTHING:
        return numbered[::-1]
    return numbered[: versions.index(to) : -1] if to in versions else []


def _changed(migration: Migration, history: Mapping[str, Applied], *, repeated: bool) -> bool:
    applied = history.get(migration.version)
    if applied is None or not applied.checksum or migration.repeated is not repeated:
        return False
    return applied.checksum != migration.checksum


def names(migrations: Sequence[Migration]) -> str:
    """The names of some, for a sentence: three of them, and how many more."""
    shown = ", ".join(each.name for each in migrations[:3])
    return shown if len(migrations) <= 3 else f"{shown} and {len(migrations) - 3} more"
