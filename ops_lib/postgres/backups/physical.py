"""Physical backups: the files of a cluster as `pg_basebackup` copies them, whole or what changed since another one.

The write-ahead log that makes them consistent is in them. PostgreSQL's own manifest of the files is kept readable
beside them, since the next incremental backup is made from it.
"""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

from ops_lib.model.advance import Advance
from ops_lib.model.backup import Saved, WalRange
from ops_lib.model.errors import OpsError, Refused
from ops_lib.model.target import Login
from ops_lib.postgres.backups import content
from ops_lib.postgres.backups.logical import Tell, opened, source_of
from ops_lib.postgres.backups.programs import Programs
from ops_lib.postgres.connection import identify

DATA, OWN_MANIFEST = "data", "backup_manifest"
INCREMENTAL_SINCE = 17
_PROGRESS = re.compile(r"(\d+)/(\d+) kB")


def volume(login: Login) -> int:
    """How large the cluster is; Refused where it cannot be copied whole."""
    with opened(login) as connection:
        (found,) = content.asked(connection, "volume")
    if found["tablespaces"]:
        names = ", ".join(found["tablespaces"])
        raise Refused(f"the cluster has tablespaces of its own ({names})", hint="take logical backups of it")
    if not found["may_replicate"]:
        raise Refused("this role may not copy the cluster", hint="ALTER ROLE ... REPLICATION, or take a logical backup")
    return int(found["bytes"])


def copy(login: Login, programs: Programs, folder: Path, *, base: Path | None, tell: Tell) -> Saved:
    """Copy the cluster into an empty folder; only what changed where `base` is the manifest of an earlier copy."""
    with opened(login) as connection:
        (found,), (origin,) = content.asked(connection, "volume"), content.asked(connection, "origin")
        identity = identify(connection)
    if base and not found["summarized"]:
        hint = "ALTER SYSTEM SET summarize_wal = on; SELECT pg_reload_conf(); and take a whole backup once more"
        raise Refused("the server keeps no summaries of its WAL, which incremental backups are made from", hint=hint)
    arguments = [
        f"--pgdata={folder / DATA}", "--format=plain", "--wal-method=stream", "--checkpoint=fast", "--progress",
        "--manifest-checksums=SHA256", f"--label={folder.parent.name}", "--no-password", "--no-sync",
    ]  # fmt: skip
    arguments += [f"--incremental={base}"] if base else []
    try:
        with programs.running("pg_basebackup", *arguments, login=login, on_line=_progress(tell)):
            pass
    except OpsError as error:
        raise _explained(error) from None
    (folder / OWN_MANIFEST).write_bytes((folder / DATA / OWN_MANIFEST).read_bytes())
    return Saved(
        source=source_of(identity, origin), program=f"pg_basebackup {programs.version}", as_of=origin["at"],
        size=int(found["bytes"]),         wal=wal_range(folder / OWN_MANIFEST), roles=tuple(origin["roles"]),
    )  # fmt: skip


def wal_range(manifest: Path) -> WalRange:
    """The WAL that a copy needs, by PostgreSQL's own manifest of it; the newest timeline where it spans several."""
    told = json.loads(manifest.read_text(encoding="utf-8"))["WAL-Ranges"][-1]
    return WalRange(timeline=told["Timeline"], start=told["Start-LSN"], end=told["End-LSN"])


def _progress(tell: Tell) -> Callable[[str], None]:
    began = time.monotonic()

    def on_line(line: str) -> None:
        if match := _PROGRESS.search(line):
            done, total = (int(number) * 1024 for number in match.groups())
            tell(Advance(phase="copying", done=done, total=max(done, total), seconds=time.monotonic() - began))

    return on_line


def _explained(error: OpsError) -> OpsError:
    if "manifest" in error.message and "system identifier" in error.message:
        return Refused(f"{error.message}", hint="the earlier backup is of another cluster: take a whole one")
    if "WAL summar" in error.message or "summaries are required" in error.message:
        return Refused(error.message, hint="the summaries since the earlier backup are gone: take a whole one")
    if "pg_hba.conf" in error.message:
        return Refused(error.message, hint="pg_hba.conf needs a line: host replication ROLE ADDRESS scram-sha-256")
    return error
