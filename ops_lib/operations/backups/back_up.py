"""Taking a backup: room is looked for first, then a draft is filled, described, signed and put in its place."""

from dataclasses import dataclass, replace
from pathlib import Path

from ops_lib.archive.backup_files import describe
from ops_lib.archive.repository import CONTENT, Draft
from ops_lib.model import ulid
from ops_lib.model.backup import Backup, Kind, Manifest, Saved
from ops_lib.model.errors import BadInput, Refused
from ops_lib.model.target import Login
from ops_lib.operations.backups.shelf import Shelf, Tell, silent
from ops_lib.postgres.backups import logical, physical
from ops_lib.postgres.backups.logical import Asked
from ops_lib.postgres.backups.programs import Programs, find_programs

_WAL_OF_A_COPY = 64 << 20
_CHANGED_AT_MOST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which backup is wanted. `passwords` puts the hashes of roles' passwords into it."""

    target: str
    kind: Kind = Kind.LOGICAL
    passwords: bool = False
    budget: int = logical.BUDGET


def back_up(shelf: Shelf, login: Login, order: Order, tell: Tell = silent) -> Backup:
    """Take a backup. After an error or a kill, nothing that looks like one is left.

    An incremental backup with nothing to build upon is a whole one.
    """
    began_at = shelf.clock()
    backup_id = ulid.make(began_at, shelf.randomness(10))
    found = logical.shape(login)
    programs = find_programs(found.identity.server_version, configured=shelf.programs, environment=shelf.environment)
    parent = _parent(shelf, order, found.identity.system_identifier, programs)
    kind = Kind.PHYSICAL if order.kind is Kind.INCREMENTAL and parent is None else order.kind
    shelf.repository.require_room(found.bytes if kind is Kind.LOGICAL else _files(login, kind))
    with shelf.repository.draft(backup_id) as draft:
        saved = _save(shelf, login, replace(order, kind=kind), parent, programs, draft, tell)
        files = describe(draft.content, shelf.recipients)
        manifest = Manifest(
            id=backup_id, kind=kind, target=order.target, began_at=began_at, ended_at=shelf.clock(), saved=saved,
            files=files, parent=parent.id if parent else None, recipients=shelf.recipients,
        )  # fmt: skip
        shelf.repository.place(draft, manifest)
    return shelf.repository.find(backup_id)


def _files(login: Login, kind: Kind) -> int:
    """How much room a copy of the cluster's files may need."""
    volume = physical.volume(login)
    return _WAL_OF_A_COPY + (volume if kind is Kind.PHYSICAL else volume // _CHANGED_AT_MOST)


def _save(
    shelf: Shelf, login: Login, order: Order, parent: Backup | None, programs: Programs, draft: Draft, tell: Tell
) -> Saved:
    held = replace(programs, held=(draft.lock,))
    if order.kind is Kind.LOGICAL:
        asked = Asked(jobs=shelf.jobs, passwords=order.passwords, budget=order.budget)
        return logical.dump(login, held, draft.content, asked, tell)
    return physical.copy(login, held, draft.content, base=_base(shelf, parent), tell=tell)


def _parent(shelf: Shelf, order: Order, system: str | None, programs: Programs) -> Backup | None:
    """The newest copy of the same cluster, which an incremental one builds upon."""
    if order.kind is not Kind.INCREMENTAL:
        return None
    if programs.major < physical.INCREMENTAL_SINCE:
        raise Refused(f"PostgreSQL {programs.version} has no incremental backups", hint="take physical ones")
    if system is None:
        raise Refused("this role may not see which cluster it is", hint="GRANT pg_monitor to it")
    known = (backup for backup in shelf.repository.backups() if backup.manifest.kind.of_files)
    return next((backup for backup in known if backup.manifest.source.system_identifier == system), None)


def _base(shelf: Shelf, parent: Backup | None) -> Path | None:
    if parent is None:
        return None
    path = shelf.repository.folder(parent) / CONTENT / physical.OWN_MANIFEST
    if not path.is_file():
        raise BadInput(f"{path} is missing, upon which the backup would build", hint="take a physical one")
    return path
