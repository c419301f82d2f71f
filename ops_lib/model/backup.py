"""Backups: what was saved of a database or a cluster, of which moment, and what a drill has proven of it.

The manifest is written when a backup is whole and never changed; a proof is added beside it by each drill. A backup
whose newest drill passed everything is proven, and only that one counts.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from ops_lib.model.drill import SCHEMA, Drill
from ops_lib.model.times import format_duration, format_instant


class Kind(StrEnum):
    """`logical` is one database as SQL, `physical` a whole cluster as files, `incremental` what changed in those."""

    LOGICAL = "logical"
    PHYSICAL = "physical"
    INCREMENTAL = "incremental"

    @property
    def of_files(self) -> bool:
        return self is not Kind.LOGICAL


class Seen(StrEnum):
    """How much of a table its digest has seen: all rows, those at both ends of its primary key, or none."""

    WHOLE = "whole"
    ENDS = "ends"
    COUNTED = "counted"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a backup as it lies on the disk, encrypted where the backup is."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TableContent:
    """How many rows a table had in the snapshot, and a digest that does not depend on their order."""

    name: str
    rows: int
    digest: str | None
    seen: Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceValue:
    """Between which values a sequence stood while it was saved: sequences move outside of every snapshot."""

    name: str
    lowest: int | None
    highest: int | None

    def holds(self, value: int | None) -> bool:
        """Whether a restored sequence stands where it may.

        >>> SequenceValue(name="s", lowest=4, highest=6).holds(7)
        False
        """
        if self.lowest is None or self.highest is None or value is None:
            return self.lowest is None or (value is None and self.lowest == self.highest is None)
        return self.lowest <= value <= self.highest


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What was saved: the server, the database, and how a database like it is made.

    `system_identifier` is nothing where the role may not read it. `creation` holds encoding and locale, and `superuser`
    is the role that the cluster was made with.
    """

    system_identifier: str | None
    server_version: int
    database: str
    superuser: str
    extensions: Mapping[str, str] = field(default_factory=dict)
    creation: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def major(self) -> int:
        return self.server_version // 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WalRange:
    """The write-ahead log without which a physical backup is not consistent."""

    timeline: int
    start: str
    end: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What PostgreSQL's programs have written into a folder, and of which moment it is.

    `as_of` is the moment that a restore brings back at the least, and `size` how many bytes it takes when restored.
    `notes` say what was done less thoroughly than asked, and why.
    """

    source: Source
    program: str
    as_of: datetime
    size: int
    snapshot: str | None = None
    wal: WalRange | None = None
    roles: tuple[str, ...] = ()
    sequences: tuple[SequenceValue, ...] = ()
    tables: tuple[TableContent, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that is known of a backup.

    `parent` is the backup that an incremental one builds upon. `recipients` are the age keys that it is encrypted to.
    """

    id: str
    kind: Kind
    target: str
    began_at: datetime
    ended_at: datetime
    saved: Saved
    files: tuple[File, ...]
    parent: str | None = None
    recipients: tuple[str, ...] = ()

    @property
    def source(self) -> Source:
        return self.saved.source

    @property
    def as_of(self) -> datetime:
        return self.saved.as_of

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def folder_name(self) -> str:
        return folder_name(self.began_at, self.target, self.kind, self.id)

    def to_json(self) -> dict[str, Any]:
        """What stands in manifest.json."""
        times = {name: format_instant(getattr(self, name)) for name in ("began_at", "ended_at")}
        saved = {**asdict(self.saved), "as_of": format_instant(self.as_of)}
        return {"schema": SCHEMA, **asdict(self), **times, "saved": saved}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """From manifest.json; KeyError, TypeError or ValueError where it is something else."""
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema {data['schema']!r} is not known here")
        return cls(
            id=data["id"],
            kind=Kind(data["kind"]),
            target=data["target"],
            began_at=datetime.fromisoformat(data["began_at"]),
            ended_at=datetime.fromisoformat(data["ended_at"]),
            saved=_saved(data["saved"]),
            files=tuple(File(**item) for item in data["files"]),
            parent=data["parent"],
            recipients=tuple(data["recipients"]),
        )


def _saved(data: Mapping[str, Any]) -> Saved:
    return Saved(
        source=Source(**data["source"]),
        program=data["program"],
        as_of=datetime.fromisoformat(data["as_of"]),
        size=data["size"],
        snapshot=data["snapshot"],
        wal=WalRange(**data["wal"]) if data["wal"] else None,
        roles=tuple(data["roles"]),
        sequences=tuple(SequenceValue(**item) for item in data["sequences"]),
        tables=tuple(TableContent(**{**item, "seen": Seen(item["seen"])}) for item in data["tables"]),
        notes=tuple(data["notes"]),
    )


def folder_name(began_at: datetime, target: str, kind: Kind, backup_id: str) -> str:
    """The name of a backup's folder, which sorts by time.

    >>> from datetime import UTC
    >>> folder_name(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "db at /run", Kind.LOGICAL, "01KDVDNA000000000000ABCDEF")
    '20260102T030405Z-db_at_run-logical-abcdef'
    """
    target = re.sub(r"[^A-Za-z0-9_.]+", "_", target).strip("._") or "target"
    return f"{began_at:%Y%m%dT%H%M%SZ}-{target[:40]}-{kind.value}-{backup_id[-6:].lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A backup in the repository, with its newest drill."""

    manifest: Manifest
    drill: Drill | None = None

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def proven_at(self) -> datetime | None:
        """When it was last proven; nothing where the newest drill has failed or there was none."""
        return self.drill.at if self.drill and self.drill.proven else None


def exposure(backups: Iterable[Backup], *, every: timedelta | None, archived_to: datetime | None) -> str:
    """How much can be lost, in plain words; `archived_to` is how far the WAL archive reaches, where there is one.

    >>> exposure([], every=timedelta(hours=24), archived_to=None)
    'everything: there is no backup'
    """
    known = list(backups)
    if not known:
        return "everything: there is no backup"
    unproven = "" if any(backup.proven_at for backup in known) else ", and none of the backups has been proven"
    if archived_to and any(backup.manifest.kind.of_files for backup in known):
        return f"what came after {format_instant(archived_to)}, to which the WAL archive reaches{unproven}"
    if every is None:
        return f"all since {format_instant(_newest(known).as_of)}: no WAL archive{unproven}"
    hours = format_duration(every) if every % timedelta(hours=24) else f"{every // timedelta(hours=1)} h"
    return f"up to {hours}: no WAL archive{unproven}"


def _newest(backups: Sequence[Backup]) -> Manifest:
    return max((backup.manifest for backup in backups), key=lambda manifest: manifest.began_at)
