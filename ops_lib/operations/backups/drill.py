"""The restore drill: a backup is restored into a scratch server and asked whether it is what was saved.

Each check has a name, and the first that fails names the damage; those after it are not made. The cheap ones come
first, so that a flipped bit is found before anything is restored. What stands in the way of a drill and says nothing
of the backup, such as a missing program or a full disk, is an error and no result.

    manifest     it can be read, and stands in the folder of its name
    signature    this archive has written it, or somebody trusts it
    cluster      it is of the system that was asked for
    chain        what it builds upon is there
    files        every file is there, with the bytes that were written
    version      its files are of the version that the manifest says
    restore      PostgreSQL's own programs bring it back
    pages        pg_verifybackup finds the copy and its WAL whole
    identity     the restored control file names the cluster of the manifest
    wal          the archived WAL has no gap, and is replayed to its end
    start        the restored server becomes consistent and answers
    counts, digests, sequences      it holds what was counted when it was saved
    amcheck      every index holds what its table holds
    freshness    it reaches as near to now as was asked for
    assertions   what the team knows of its own data is true
"""

import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ops_lib.archive.backup_files import Damaged, NotABackup, check_files, open_content
from ops_lib.archive.repository import CONTENT
from ops_lib.model import ulid
from ops_lib.model.advance import size
from ops_lib.model.backup import Backup, Kind, Manifest
from ops_lib.model.drill import Drill
from ops_lib.model.errors import Refused
from ops_lib.operations.backups.examination import Caught, Examination, Question
from ops_lib.operations.backups.restored import prove_cluster, prove_database
from ops_lib.operations.backups.shelf import Shelf, Tell, silent
from ops_lib.postgres.backups.programs import Programs, find_programs
from ops_lib.postgres.backups.scratch import ScratchServer, sweep

_OURS = re.compile(r"\d{8}T\d{6}Z-")
_ROOM = 1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A backup whose files are what was written: its folder, and those that it builds upon before it."""

    manifests: tuple[Manifest, ...]
    folders: tuple[Path, ...]
    digest: str

    @property
    def manifest(self) -> Manifest:
        return self.manifests[-1]


def drill(shelf: Shelf, folder: Path, question: Question | None = None, tell: Tell = silent) -> Drill:
    """Restore a backup and prove it; what was found is kept beside it. Refused where it cannot be tried here."""
    asked = question or Question()
    sweep(shelf.drills)
    exam = Examination(at=shelf.clock())
    manifest, digest = None, ""
    with suppress(Caught):
        manifest, digest = exam.check("manifest", lambda: _manifest(shelf, folder))
        looked = _look(shelf, folder, manifest, digest, asked, exam)
        _restore(shelf, looked, asked, exam, tell)
    told = exam.told(manifest.id if manifest else folder.name, digest)
    if manifest:
        shelf.repository.keep_drill(folder, manifest, told)
    return told


def _manifest(shelf: Shelf, folder: Path) -> tuple[str, tuple[Manifest, str]]:
    """The manifest with its digest. A folder that does not even have the name of a backup is bad input."""
    try:
        manifest, digest = shelf.repository.read_manifest(folder)
    except NotABackup as error:
        if not folder.is_dir() or not _OURS.match(folder.name):
            raise
        raise Damaged(error.message) from None
    if manifest.folder_name != folder.name:
        raise Damaged(f"the manifest is of the backup {manifest.folder_name}")
    return f"of {manifest.kind.value} backup {manifest.id}, with {len(manifest.files)} files", (manifest, digest)


def _look(shelf: Shelf, folder: Path, manifest: Manifest, digest: str, asked: Question, exam: Examination) -> Looked:
    """Everything that can be checked without restoring it."""
    exam.check("signature", lambda: _signature(shelf, folder, trust=asked.trust))
    exam.check("cluster", lambda: _cluster(manifest, asked.system))
    chain = exam.check("chain", lambda: _chain(shelf, manifest)) if manifest.parent else [Backup(manifest=manifest)]
    before = chain[:-1]
    folders = (*(shelf.repository.folder(backup) for backup in before), folder)
    manifests = (*(backup.manifest for backup in before), manifest)
    exam.check("files", lambda: _files(manifests, folders))
    return Looked(manifests=manifests, folders=folders, digest=digest)


def _signature(shelf: Shelf, folder: Path, *, trust: bool) -> tuple[str, None]:
    if shelf.repository.signed_here(folder):
        return "written by this archive", None
    if not trust:
        raise Damaged("this archive has not written it: a backup is code, to be trusted only by who knows whose it is")
    return "not written by this archive, and trusted on the word of who asked", None


def _cluster(manifest: Manifest, system: str | None) -> tuple[str, None]:
    own = manifest.source.system_identifier
    if system is not None and own != system:
        raise Damaged(f"it is of the cluster {own}, asked for was {system}")
    return f"of the cluster {own}", None


def _chain(shelf: Shelf, manifest: Manifest) -> tuple[str, list[Backup]]:
    chain = shelf.repository.chain(Backup(manifest=manifest))
    systems = {backup.manifest.source.system_identifier for backup in chain}
    if len(systems) > 1:
        raise Damaged(f"it builds upon a backup of another cluster: {', '.join(map(str, systems))}")
    for backup in chain[:-1]:
        if not shelf.repository.signed_here(shelf.repository.folder(backup)):
            raise Damaged(f"this archive has not written {backup.manifest.folder_name}, upon which it builds")
    return f"builds upon {len(chain) - 1} backups that are there", chain


def _files(manifests: tuple[Manifest, ...], folders: tuple[Path, ...]) -> tuple[str, None]:
    counts = [
        check_files(folder / CONTENT, manifest.files) for folder, manifest in zip(folders, manifests, strict=True)
    ]
    return f"{sum(counts)} files hold what was written", None


def _restore(shelf: Shelf, looked: Looked, asked: Question, exam: Examination, tell: Tell) -> None:
    manifest = looked.manifest
    home = shelf.drills / ulid.make(exam.at, shelf.randomness(10)).lower()
    shelf.drills.mkdir(parents=True, exist_ok=True, mode=0o711)
    _require_room(shelf.drills, looked)
    with ScratchServer(home, _programs(shelf, manifest), manifest.source.superuser) as server:
        opened = [
            _open(shelf, folder / CONTENT, of, server.folder / f"plain-{number}")
            for number, (folder, of) in enumerate(zip(looked.folders, looked.manifests, strict=True))
        ]
        prove = prove_database if manifest.kind is Kind.LOGICAL else prove_cluster
        prove(shelf, manifest, opened, server, asked, exam, tell)


def _open(shelf: Shelf, content: Path, manifest: Manifest, scratch: Path) -> Path:
    return open_content(content, manifest.files, scratch, shelf.identity) if manifest.recipients else content


def _programs(shelf: Shelf, manifest: Manifest) -> Programs:
    """Those that can read the backup: of the very version for files, of the dump's or a newer one for a dump."""
    version, exact = manifest.source.server_version, manifest.kind.of_files
    if not exact:
        version = max(version, int(manifest.saved.program.split()[1].split(".")[0]) * 10_000)
    return find_programs(version, configured=shelf.programs, environment=shelf.environment, exact=exact)


def _require_room(drills: Path, looked: Looked) -> None:
    encrypted = sum(manifest.bytes for manifest in looked.manifests if manifest.recipients)
    needed, free = int(looked.manifest.saved.size * _ROOM) + encrypted, shutil.disk_usage(drills).free
    if free < needed:
        hint = "make room, or put the state folder elsewhere with XDG_STATE_HOME"
        raise Refused(f"{drills} has {size(free)} free, and the drill may need {size(needed)}", hint=hint)
