"""Snapshots that runs have kept: sealed with their records, outside the target, and found by the target's identity."""

from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from ops_lib.archive.records import Records
from ops_lib.archive.staging import ATTACHMENTS
from ops_lib.model.search import Label, Query
from ops_lib.model.snapshot import FILE_NAME, Snapshot
from ops_lib.model.summary import Summary
from ops_lib.model.summary import identity as label_of
from ops_lib.model.target import Identity
from ops_lib.operations.look import look

NAME = FILE_NAME
LOOK_BACK = timedelta(days=7)


def newest(archive: Path, identity: Identity) -> Snapshot | None:
    """The last snapshot that was taken: what was counted since then is recent."""
    return _of(archive, identity, lambda paths: next(map(_read, paths), None))


def baseline(archive: Path, identity: Identity, *, since: datetime | None, now: datetime) -> Snapshot | None:
    """What to compare with: the newest snapshot before `since`, or without it the oldest of the last seven days."""
    if since is not None:
        return _of(archive, identity, partial(_first_before, since), until=since)
    return _of(archive, identity, _oldest, since=now - LOOK_BACK) or newest(archive, identity)


def _of(
    archive: Path,
    identity: Identity,
    pick: Callable[[Iterator[Path]], Snapshot | None],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Snapshot | None:
    """One of the snapshots that were kept of a database, picked from their files, the newest first."""
    database = label_of(identity.system_identifier, identity.database)
    labels = ((Label.KEEPS, "snapshot"), (Label.IDENTITY, database))
    query = Query(labels=labels, since=since, until=until)
    return look(archive, query, lambda found: pick(_files(archive, found)))[0]


def _files(archive: Path, found: Iterator[Summary]) -> Iterator[Path]:
    kept = Records(archive)
    paths = (kept.folder_of(summary.run_id) / ATTACHMENTS / NAME for summary in found)
    return (path for path in paths if _packed(path))


def _packed(path: Path) -> bool:
    """Whether a snapshot is there: a redacted one is a text that says so."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"\x1f\x8b"
    except OSError:
        return False


def _read(path: Path) -> Snapshot:
    return Snapshot.from_bytes(path.read_bytes())


def _first_before(at: datetime, paths: Iterator[Path]) -> Snapshot | None:
    return next((snapshot for snapshot in map(_read, paths) if snapshot.taken_at <= at), None)


def _oldest(paths: Iterator[Path]) -> Snapshot | None:
    return next(map(_read, deque(paths, maxlen=1)), None)
