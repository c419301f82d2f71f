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

from ops_lib.model.times import format_duration, format_instant, format_seconds

SCHEMA = 1


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
class Check:
    """One thing that a drill has looked at, and what it saw; `passed` is nothing where it could not look."""

    name: str
    passed: bool | None
    said: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """What restoring a backup has shown.

    `recovery_seconds` is the time until the restored server answered, consistent. `recovery_point` is the moment that
    it was brought back to; what came after it until the drill began would have been lost.
    """

    backup: str
    at: datetime
    manifest_sha256: str
    checks: tuple[Check, ...]
    recovery_seconds: float | None = None
    recovery_point: datetime | None = None

    @property
    def proven(self) -> bool:
        """Whether it was restored and nothing failed."""
        return self.recovery_seconds is not None and all(check.passed is not False for check in self.checks)

    @property
    def caught_by(self) -> Check | None:
        """The first check that failed."""
        return next((check for check in self.checks if check.passed is False), None)

    @property
    def loss(self) -> timedelta | None:
        return self.at - self.recovery_point if self.recovery_point else None

    def to_json(self) -> dict[str, Any]:
        point = format_instant(self.recovery_point) if self.recovery_point else None
        at = format_instant(self.at)
        told = {**asdict(self), "at": at, "recovery_point": point, "proven_at": at if self.proven else None}
        return {"schema": SCHEMA, **told}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        point = data["recovery_point"]
        return cls(
            backup=data["backup"],
            at=datetime.fromisoformat(data["at"]),
            manifest_sha256=data["manifest_sha256"],
            checks=tuple(Check(**item) for item in data["checks"]),
            recovery_seconds=data["recovery_seconds"],
            recovery_point=datetime.fromisoformat(point) if point else None,
        )


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """How far a backup or a restore has come, in bytes of what is saved."""

    phase: str
    done: int
    total: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.done / self.seconds if self.seconds else 0.0

    @property
    def left(self) -> float | None:
        """The seconds that are left at this rate."""
        return (self.total - self.done) / self.rate if self.rate and self.total >= self.done else None

    def __str__(self) -> str:
        """What a person reads while it goes on.

        >>> str(Advance(phase="saving", done=50_000_000, total=100_000_000, seconds=2.0))
        'saving: 50 MB of 100 MB, 25 MB/s, 2.0 s left'
        """
        left = f", {format_seconds(self.left)} left" if self.left is not None else ""
        return f"{self.phase}: {size(self.done)} of {size(self.total)}, {size(self.rate)}/s{left}"


def size(count: float) -> str:
    """A number of bytes as a person says it.

    >>> size(512), size(1_500_000), size(2_340_000_000)
    ('512 B', '1.5 MB', '2.3 GB')
    """
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.2g} {unit}" if count < 10 * scale else f"{count / scale:.0f} {unit}"
    return f"{count:.0f} B"


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
        return f"all since {format_instant(_newest(known).as_of)}: no WAL archive, and no schedule{unproven}"
    hours = format_duration(every) if every % timedelta(hours=24) else f"{every // timedelta(hours=1)} h"
    return f"up to {hours}: no WAL archive{unproven}"


def _newest(backups: Sequence[Backup]) -> Manifest:
    return max((backup.manifest for backup in backups), key=lambda manifest: manifest.began_at)
