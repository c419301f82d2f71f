"""The WAL archive of a server that is ours to configure, and recovery from it.

Each segment is copied under another name, made durable and renamed, so that a kill leaves no half segment under a name
that counts; one that is there already with the same bytes is well. The server keeps what cannot be archived.
"""

import shlex
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from psycopg import sql

from ops_lib.model import wal
from ops_lib.model.errors import Refused
from ops_lib.model.target import Hazard
from ops_lib.model.wal import Segments
from ops_lib.postgres import binaries
from ops_lib.postgres.backups.scratch import ScratchServer
from ops_lib.postgres.connection import connect
from ops_lib.postgres.server import EmbeddedServer

_COPY = (
    'if [ -e {there} ]; then cmp -s "%p" {there}; else '
    'cp "%p" {part} && sync {part} && mv {part} {there} && sync {folder}; fi'
)


def archive_into(server: EmbeddedServer, folder: Path, *, every: str = "60s") -> None:
    """Archive the WAL of the embedded server into a folder, a segment at the latest after `every`; it is restarted."""
    account = binaries.account_for(server.data)
    binaries.make_folder(folder.parent.absolute(), mode=0o711 if account.switched else 0o700)
    binaries.make_folder(folder.absolute(), mode=0o700, account=account)
    if not account.can("w", folder.absolute()):
        hint = f"let user {account.uid} pass through the folders above it, or say where else: to: under backups"
        raise Refused(f"the server cannot write into {folder}", hint=hint)
    _set(server, {
        "archive_mode": "on", "archive_command": _command(folder.absolute()), "archive_timeout": every,
        "summarize_wal": "on", "wal_level": "replica",
    })  # fmt: skip
    server.stop()
    server.start()


def _command(folder: Path) -> str:
    """The command that copies a segment; in it the server replaces %p and %f.

    >>> _command(Path("/wal"))
    'if [ -e /wal/%f ]; then cmp -s "%p" /wal/%f; else cp "%p" /wal/.%f.part && sync /wal/.%f.part && mv /wal/.%f.part /wal/%f && sync /wal; fi'
    """  # noqa: E501
    place = shlex.quote(str(folder).replace("%", "%%"))
    return _COPY.format(there=f"{place}/%f", part=f"{place}/.%f.part", folder=place)


def _set(server: EmbeddedServer, settings: Mapping[str, str]) -> None:
    login = server.login(dbname="postgres")
    with connect(login, application_name="runbook/backup", hazard=Hazard.CHANGES) as connection:
        for name, value in settings.items():
            statement = sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
            connection.execute(statement)


def archived(folder: Path, start: str) -> Segments:
    """What an archive holds from a position on; nothing where there is no archive."""
    return wal.since(start, _sizes(folder))


def archived_to(folder: Path) -> datetime | None:
    """When the newest segment of an archive was put there; nothing where there is none."""
    times = [(folder / name).stat().st_mtime for name in _sizes(folder)]
    return datetime.fromtimestamp(max(times), UTC) if times else None


def _sizes(folder: Path) -> dict[str, int]:
    listed = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return {name: (folder / name).stat().st_size for name in wal.names(listed)}


def recover_from(server: ScratchServer, archive: Path, *, until: datetime | None = None) -> dict[str, str]:
    """The settings with which a restored server replays an archive, to its end or up to a time.

    The segments are copied first: the account of the server may not be able to read the archive.
    """
    place = server.folder / "wal"
    place.mkdir()
    for name in _sizes(archive):
        shutil.copyfile(archive / name, place / name)
    server.give(place)
    (server.data / "recovery.signal").touch()
    server.give(server.data / "recovery.signal")
    target = {"recovery_target_time": until.isoformat(), "recovery_target_action": "promote"} if until else {}
    quoted = shlex.quote(str(place).replace("%", "%%"))
    return {"restore_command": f'cp {quoted}/%f "%p"', "recovery_target_timeline": "latest", **target}


def replayed(server: ScratchServer, segment: str) -> bool:
    """Whether recovery has come as far as a segment of the archive."""
    return f'restored log file "{segment}" from archive' in server.log
