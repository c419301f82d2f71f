"""Snapshots that runs have kept: sealed with their records, outside the target, and found by the target's identity."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from ops_lib.archive.records import Records
from ops_lib.archive.staging import ATTACHMENTS
from ops_lib.model.snapshot import Snapshot
from ops_lib.model.target import Identity
from ops_lib.model.ulid import instant

NAME = "snapshot.json.gz"
LOOK_BACK = timedelta(days=7)


def kept(archive: Path, identity: Identity, *, not_before: datetime | None = None) -> Iterator[Snapshot]:
    """The snapshots of one database, the newest first."""
    records = Records(archive)
    for folder in records.newest_first():
        if not_before and instant(folder.name) < not_before:
            return
        path = folder / ATTACHMENTS / NAME
        if path.is_file() and _same(records.read(folder)["target"], identity):
            yield Snapshot.from_bytes(path.read_bytes())


def newest(archive: Path, identity: Identity) -> Snapshot | None:
    """The last snapshot that was taken: what was counted since then is recent."""
    return next(kept(archive, identity), None)


def baseline(archive: Path, identity: Identity, *, since: datetime | None, now: datetime) -> Snapshot | None:
    """What to compare with: the newest snapshot before `since`, or without it the oldest of the last seven days."""
    if since is not None:
        return next((snapshot for snapshot in kept(archive, identity) if snapshot.taken_at <= since), None)
    oldest = None
    for oldest in kept(archive, identity, not_before=now - LOOK_BACK):  # noqa: B007 - the last one is wanted
        pass
    return oldest or newest(archive, identity)


def _same(target: dict[str, object] | None, identity: Identity) -> bool:
    if target is None:
        return False
    return (target["system_identifier"], target["database"]) == (identity.system_identifier, identity.database)
