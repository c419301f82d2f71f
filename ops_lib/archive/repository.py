"""The repository of backups: a folder each, which appears whole by one rename or not at all.

    index.jsonl                     what was taken, drilled and removed, in order; never rewritten
    wal/SYSTEM/                     archived WAL of a cluster that is ours to configure
    20260102T030405Z-TARGET-KIND-ID/
      manifest.json                 what it is; canonical JSON
      manifest.sig                  the archive's signature of it
      proof.json                    what the newest drill has shown
      content/                      the files

Their order is that of the manifests' times. What a killed command left, a draft or a backup half removed, looks like no
backup, and goes with the next sweep.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops_lib.archive import files
from ops_lib.archive.backup_files import Damaged, NotABackup
from ops_lib.archive.heads import Heads
from ops_lib.archive.keys import Keys, signed_by
from ops_lib.model.advance import size
from ops_lib.model.backup import Backup, Manifest
from ops_lib.model.drill import Drill
from ops_lib.model.errors import BadInput, Refused
from ops_lib.model.ledger import canonical, sha256
from ops_lib.model.wal import before

MANIFEST, SIGNATURE, PROOF, CONTENT, INDEX = "manifest.json", "manifest.sig", "proof.json", "content", "index.jsonl"
WAL = "wal"
SIGNER = "ops-runbooks/backups"
_DRAFT, _REMOVED = ".draft-", ".removed-"
_SYNCING = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A backup that is being written. Programs that write into it hold `lock`, should we be killed."""

    folder: Path
    lock: int

    @property
    def content(self) -> Path:
        return self.folder / CONTENT


class Repository:
    """The backups below one folder; whoever takes one signs with `keys`, which belong to `archive`."""

    def __init__(self, root: Path, keys: Keys, archive: Path) -> None:
        self.root = root
        self._keys = keys
        self._archive = archive

    # -- reading ----------------------------------------------------------------------------------------------------

    def backups(self) -> list[Backup]:
        """Every backup whose manifest can be read, the newest first; what it is worth is for a drill to say."""
        found = [backup for folder in self._folders() if (backup := self._backup(folder))]
        return sorted(found, key=lambda backup: (backup.manifest.began_at, backup.id), reverse=True)

    def unreadable(self) -> list[Path]:
        """The folders that are named like backups and hold none that can be read."""
        return [folder for folder in self._folders() if not self._backup(folder)]

    def missing(self) -> list[str]:
        """The folders of backups that were taken, were not removed by us, and are not there."""
        events = self.events()
        gone = {event["backup"] for event in events if event["event"] == "removed"}
        taken = {event["backup"]: event["folder"] for event in events if event["event"] == "taken"}
        return [name for number, name in taken.items() if number not in gone and not (self.root / name).exists()]

    def find(self, text: str) -> Backup:
        """The backup with this id, the end of one, or the name of its folder; BadInput where there is not one."""
        known = self.backups()
        if text == "last" and known:
            return known[0]
        wanted = text.strip().upper()
        found = [b for b in known if wanted and (b.id.endswith(wanted) or b.manifest.folder_name.upper() == wanted)]
        if len(found) != 1:
            what = "more than one backup" if found else "no backup"
            raise BadInput(f"there is {what} {text!r} in {self.root}", hint=f"known are {_names(known)}")
        return found[0]

    def folder(self, backup: Backup) -> Path:
        return self.root / backup.manifest.folder_name

    def chain(self, backup: Backup) -> list[Backup]:
        """A backup and what it builds upon, the oldest first; Damaged where one of them is gone."""
        known, found = {other.id: other for other in self.backups()}, [backup]
        while parent := found[0].manifest.parent:
            if parent not in known or any(parent == other.id for other in found):
                raise Damaged(f"the backup {parent} that it builds upon is not there")
            found.insert(0, known[parent])
        return found

    def events(self) -> list[dict[str, Any]]:
        """The lines of the index; a line that a power cut has torn is passed over."""
        return list(_lines(self.root / INDEX))

    def drills(self) -> list[tuple[str, Drill]]:
        """Every drill that was recorded, with the kind of its backup, the oldest first."""
        told = (event for event in self.events() if event["event"] == "drilled")
        return [(event["kind"], Drill.from_json(event)) for event in told]

    def _folders(self) -> list[Path]:
        if not self.root.is_dir():
            return []
        with files.explained_below(self.root):
            return sorted(path for path in self.root.iterdir() if path.is_dir() and path.name[0].isdigit())

    def _backup(self, folder: Path) -> Backup | None:
        try:
            manifest, digest = self.read_manifest(folder)
        except NotABackup:
            return None
        return Backup(manifest=manifest, drill=_drill(folder, digest)) if manifest.folder_name == folder.name else None

    def read_manifest(self, folder: Path) -> tuple[Manifest, str]:
        """The manifest in a folder and its digest; NotABackup where there is none."""
        try:
            content = (folder / MANIFEST).read_bytes()
            return Manifest.from_json(json.loads(content)), sha256(content)
        except OSError as error:
            raise NotABackup(f"{folder} is not a backup: {MANIFEST}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise NotABackup(f"{folder} is not a backup: {MANIFEST} cannot be read ({error})") from None

    def signed_here(self, folder: Path) -> bool:
        """Whether this archive has written the manifest in a folder."""
        own = self._keys.own(SIGNER)
        known = [*Heads(self._archive).public(), *([own] if own else [])]
        with suppress(OSError, ValueError, BadInput):
            text = (folder / SIGNATURE).read_text(encoding="ascii")
            return signed_by(text, (folder / MANIFEST).read_bytes(), known)
        return False

    # -- writing ----------------------------------------------------------------------------------------------------

    def make(self) -> None:
        """The folder, where there is none. Root lets the account of its server pass through, to the archive of WAL."""
        files.make_folder(self.root, mode=0o711 if os.geteuid() == 0 else 0o700)

    def require_room(self, needed: int) -> None:
        """Refused where the disk has not as much room as a backup may need."""
        self.make()
        with files.explained(self.root):
            free = shutil.disk_usage(self.root).free
            if not os.access(self.root, os.W_OK):
                raise PermissionError(13, "permission is denied")
        if free < needed:
            hint = "make room, or say where else: --to, or to: under backups in settings.yaml"
            raise Refused(f"{self.root} has {size(free)} free, and the backup may need {size(needed)}", hint=hint)

    @contextmanager
    def draft(self, backup_id: str) -> Iterator[Draft]:
        """A place to write a backup into; it is removed where the body does not place it."""
        folder = self.root / f"{_DRAFT}{backup_id}"
        with self._alone():
            self._sweep()
            files.make_folder(folder / CONTENT, mode=0o700)
            lock = files.lock_folder(folder)
        try:
            yield Draft(folder=folder, lock=lock)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)

    def place(self, draft: Draft, manifest: Manifest) -> Path:
        """Make a backup of a draft: the manifest and its signature, then everything durable, then one rename."""
        text, target = canonical(manifest.to_json()), self.root / manifest.folder_name
        files.write_whole(draft.folder / MANIFEST, text)
        files.write_whole(draft.folder / SIGNATURE, self._keys.sign_text(SIGNER, text).encode())
        with files.explained(target):
            _sync(draft.folder)
            draft.folder.rename(target)
            files.sync_folder(self.root)
        self._note({"event": "taken", "backup": manifest.id, "folder": target.name, "manifest_sha256": sha256(text)})
        return target

    def keep_drill(self, folder: Path, manifest: Manifest, drill: Drill) -> None:
        """Put down what a drill has shown, beside its backup and in the index."""
        content = json.dumps(drill.to_json(), indent=1).encode()
        files.write_whole(folder / PROOF, content)
        told = {"kind": manifest.kind, "target": manifest.target, "bytes": manifest.bytes}
        self._note({"event": "drilled", **told, **drill.to_json()})

    def remove(self, backup: Backup, *, why: str) -> None:
        """Remove a backup: first it looks like none any more."""
        self._note({"event": "removed", "backup": backup.id, "folder": self.folder(backup).name, "why": why})
        with files.explained(self.folder(backup)):
            hidden = self.root / f"{_REMOVED}{backup.id}"
            self.folder(backup).rename(hidden)
            files.sync_folder(self.root)
            shutil.rmtree(hidden)

    def wal(self, system: str) -> Path:
        """Where the WAL of a system is archived, if it is."""
        return self.root / WAL / system

    def trim_wal(self, system: str, start: str) -> None:
        """Remove the archived segments that only backups need which are not kept any more."""
        folder = self.wal(system)
        sizes = {path.name: path.stat().st_size for path in folder.iterdir()} if folder.is_dir() else {}
        for name in before(start, sizes):
            (folder / name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what commands that were killed have left."""
        with self._alone():
            self._sweep()

    def _alone(self) -> AbstractContextManager[None]:
        """While the lock is held, no draft is between being made and being locked."""
        self.make()
        return files.locked(self.root / "lock")

    def _sweep(self) -> None:
        for folder in [*self.root.glob(f"{_DRAFT}*"), *self.root.glob(f"{_REMOVED}*")]:
            lock = files.try_lock_folder(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)

    def _note(self, event: dict[str, Any]) -> None:
        path = self.root / INDEX
        with self._alone(), files.explained(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                end = os.fstat(descriptor).st_size
                torn = end and os.pread(descriptor, 1, end - 1) != b"\n"
                files.write_all(descriptor, (b"\n" if torn else b"") + canonical(event) + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _sync(folder: Path) -> None:
    """Make every file and name below a folder durable; many at a time, which a disk does together."""
    with ThreadPoolExecutor(_SYNCING) as workers:
        list(workers.map(_sync_one, [*folder.rglob("*"), folder]))


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _drill(folder: Path, manifest_sha256: str) -> Drill | None:
    """The newest drill of a backup as it is; one of another manifest proves nothing."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        drill = Drill.from_json(json.loads((folder / PROOF).read_bytes()))
        return drill if drill.manifest_sha256 == manifest_sha256 else None
    return None


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        with suppress(ValueError):
            if isinstance(event := json.loads(line), dict):
                yield event


def _names(known: Sequence[Backup]) -> str:
    return ", ".join(backup.manifest.folder_name for backup in known[:5]) or "none"
