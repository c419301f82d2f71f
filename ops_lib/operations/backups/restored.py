"""The part of a drill that restores: a database from a dump, or a cluster from its files, and what it is asked then."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from ops_lib.model.backup import Manifest, TableContent
from ops_lib.model.errors import OpsError
from ops_lib.model.times import format_duration, format_instant, format_seconds
from ops_lib.operations.backups.examination import Examination, Question
from ops_lib.operations.backups.shelf import Shelf, Tell
from ops_lib.postgres.backups import content, physical, proving, restore, wal
from ops_lib.postgres.backups.logical import opened
from ops_lib.postgres.backups.proving import Held
from ops_lib.postgres.backups.scratch import ScratchServer

T = TypeVar("T")


def prove_database(
    shelf: Shelf, manifest: Manifest, folders: Sequence[Path], server: ScratchServer, asked: Question,
    exam: Examination, tell: Tell,
) -> None:  # fmt: skip
    """Restore a dump and ask it what was counted when it was made."""
    (folder,) = folders
    server.initialize()
    server.start()
    note = exam.check("restore", lambda: _restored(shelf, manifest, folder, server, exam, tell))
    exam.recovery_point = manifest.as_of
    into = server.login(manifest.source.database)
    with opened(into) as connection:
        content.settle(connection)
        now: dict[str, TableContent] = exam.check("counts", lambda: _two(proving.counts(connection, manifest.saved)))
        _held(exam, "digests", lambda: proving.digests(manifest.saved, now, same_locale=not note))
        _held(exam, "sequences", lambda: proving.sequences(connection, manifest.saved))
    _ask_more(shelf, manifest, server, asked, exam)


def _two(found: tuple[Held, T]) -> tuple[str, T]:
    return found[0].said, found[1]


def _held(exam: Examination, name: str, look: Callable[[], Held]) -> None:
    """A check that may have to say that it could not see everything."""
    exam.check(name, lambda: (look().said, None))


def _restored(
    shelf: Shelf, manifest: Manifest, folder: Path, server: ScratchServer, exam: Examination, tell: Tell
) -> tuple[str, str | None]:
    """Roles, database and content; how long that took is the recovery time. Answers what could not be the same."""
    programs, began = server.programs, time.monotonic()
    restore.restore_roles(programs, folder, server.login(), server.folder / "roles.sql")
    note = server.make_database(manifest.source)
    into = server.login(manifest.source.database)
    restore.restore_database(programs, folder, into, jobs=shelf.jobs, tell=tell)
    exam.recovery_seconds = round(time.monotonic() - began, 3)
    return f"restored in {format_seconds(exam.recovery_seconds)}{f'; {note}' if note else ''}", note


def prove_cluster(
    shelf: Shelf, manifest: Manifest, folders: Sequence[Path], server: ScratchServer, asked: Question,
    exam: Examination, tell: Tell,
) -> None:  # fmt: skip
    """Restore the files of a cluster, bring it to life, and let its own programs and indexes testify."""
    chain = [folder / physical.DATA for folder in folders]
    exam.check("version", lambda: _version(manifest, chain))
    began = time.monotonic()
    exam.check("restore", lambda: _combined(server, chain))
    copied = time.monotonic() - began
    exam.check("pages", lambda: _pages(server))
    archive = shelf.repository.wal(str(manifest.source.system_identifier))
    last = exam.check("wal", lambda: _archived(manifest, archive))
    began = time.monotonic()
    server.adopt()
    exam.check("identity", lambda: _identity(manifest, server))
    exam.check("start", lambda: _started(server, archive if last else None, asked))
    exam.recovery_seconds = round(copied + time.monotonic() - began, 3)
    if last and asked.until is None:
        exam.check("wal", lambda: _replayed(server, last))
    with opened(server.login(manifest.source.database)) as connection:
        exam.recovery_point = max(manifest.as_of, proving.last_commit(connection) or manifest.as_of)
    _ask_more(shelf, manifest, server, asked, exam)


def _version(manifest: Manifest, chain: Sequence[Path]) -> tuple[str, None]:
    for data in chain:
        if (found := restore.version_of(data)) != manifest.source.major:
            raise OpsError(f"the files are of PostgreSQL {found}, the manifest says {manifest.source.major}")
    return f"files of PostgreSQL {manifest.source.major}", None


def _combined(server: ScratchServer, chain: Sequence[Path]) -> tuple[str, None]:
    restore.restore_files(server.programs, chain, server.data)
    return f"copied from {len(chain)} backups" if len(chain) > 1 else "copied", None


def _pages(server: ScratchServer) -> tuple[str, None]:
    restore.verify_files(server.programs, server.data)
    return "pg_verifybackup finds every file and the WAL that belongs to them", None


def _archived(manifest: Manifest, archive: Path) -> tuple[str, str | None]:
    """The last segment that carries the backup on; nothing where nothing was archived since."""
    assert manifest.saved.wal
    found = wal.archived(archive, manifest.saved.wal.start)
    if found.fault:
        raise OpsError(found.fault)
    return f"{found.count} archived segments carry it on" if found.count else "no archive carries it on", found.last


def _identity(manifest: Manifest, server: ScratchServer) -> tuple[str, None]:
    found = server.control().get("Database system identifier")
    expected = manifest.source.system_identifier
    if expected is not None and found != expected:
        raise OpsError(f"the control file is of the cluster {found}, the manifest says {expected}")
    return f"the control file is of the cluster {found}", None


def _started(server: ScratchServer, archive: Path | None, asked: Question) -> tuple[str, None]:
    prepared = server.control().get("max_prepared_xacts setting", "0")
    settings = wal.recover_from(server, archive, until=asked.until) if archive else {}
    server.start({"max_prepared_transactions": prepared, **settings})
    return "consistent, and open for writes", None


def _replayed(server: ScratchServer, last: str) -> tuple[str, None]:
    if not wal.replayed(server, last):
        raise OpsError(f"recovery ended before {last}, the last archived segment: a segment before it is damaged")
    return f"replayed to {last}, the last archived segment", None


def _ask_more(shelf: Shelf, manifest: Manifest, server: ScratchServer, asked: Question, exam: Examination) -> None:
    """What every restored server is asked, whatever it was restored from."""
    login = server.login(manifest.source.database)
    _held(exam, "amcheck", lambda: proving.amcheck(server.programs, login, jobs=shelf.jobs))
    exam.check("freshness", lambda: _fresh(exam, asked))
    with opened(login) as connection:
        _held(exam, "assertions", lambda: proving.assertions(connection, shelf.asserted(manifest.source.database)))


def _fresh(exam: Examination, asked: Question) -> tuple[str, None]:
    assert exam.recovery_point
    lost = exam.at - exam.recovery_point
    said = f"it reaches to {format_instant(exam.recovery_point)}, {format_seconds(max(lost.total_seconds(), 0))} ago"
    if asked.fresh is not None and lost > asked.fresh:
        raise OpsError(f"{said}, and at most {format_duration(asked.fresh)} may be lost")
    return said, None
