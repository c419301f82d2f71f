"""The files of a backup: described when they are written, checked and opened when it is restored."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from ops_lib.archive import encryption
from ops_lib.model.backup import File
from ops_lib.model.errors import BadInput, OpsError, Refused

_KEPT_PLAIN = "backup_manifest"
_BLOCK = 1 << 20
_WORKERS = 2
T = TypeVar("T")
R = TypeVar("R")


class NotABackup(BadInput):
    """A folder that holds no backup that can be read."""


class Damaged(OpsError):
    """A backup whose files are not those that were written."""


def describe(content: Path, to: Sequence[str]) -> tuple[File, ...]:
    """The files of a folder with their digests, encrypted first where there are recipients."""
    keys = encryption.recipients(to) if to else []
    paths = sorted(path for path in content.rglob("*") if not path.is_dir() or path.is_symlink())
    return tuple(_each(paths, lambda path: _described(content, path, keys)))


def _described(content: Path, path: Path, keys: Sequence[Any]) -> File:
    if path.is_symlink():
        raise Refused(f"{path.relative_to(content)} is a link, which cannot be kept", hint="take a logical backup")
    if keys and not (path.parent == content and path.name == _KEPT_PLAIN):
        path = encryption.encrypt(path, keys)
    return File(path=path.relative_to(content).as_posix(), sha256=_digest(path), bytes=path.stat().st_size)


def check_files(content: Path, files: Sequence[File]) -> int:
    """How many files there are, all of them as they were written; Damaged names those that are not."""
    known = {file.path for file in files}
    found = {path.relative_to(content).as_posix() for path in content.rglob("*") if not path.is_dir()}
    faults = [f"{name} is missing" for name in sorted(known - found)]
    faults += [f"{name} was not in the backup" for name in sorted(found - known)]
    faults += [fault for fault in _each(files, lambda file: _fault(content, file)) if fault] if not faults else []
    if faults:
        raise Damaged(faults[0] + (f", and {len(faults) - 1} more" if len(faults) > 1 else ""))
    return len(known)


def _fault(content: Path, file: File) -> str | None:
    """What is wrong with a file, or nothing. A name that leads out of the backup is never followed."""
    path, name = content / file.path, PurePosixPath(file.path)
    if name.is_absolute() or ".." in name.parts or path.is_symlink():
        return f"{file.path} is no name of a file of a backup"
    try:
        length = path.stat().st_size
        if length != file.bytes:
            return f"{file.path} has {length} bytes, written were {file.bytes}"
        return None if _digest(path) == file.sha256 else f"{file.path} holds other bytes than were written"
    except OSError as error:
        return f"{file.path} cannot be read: {error.strerror}"


def open_content(content: Path, files: Sequence[File], scratch: Path, identity: Path | None) -> Path:
    """A folder `scratch` with what the encrypted files of another one hold."""
    by = encryption.identities(identity)
    for folder in [content, *(path for path in content.rglob("*") if path.is_dir())]:
        (scratch / folder.relative_to(content)).mkdir(mode=0o700, parents=True)
    _each(files, lambda file: _open(content / file.path, scratch / file.path, by))
    return scratch


def _open(sealed: Path, plain: Path, by: Sequence[Any]) -> None:
    if sealed.suffix == encryption.SUFFIX:
        encryption.decrypt(sealed, plain.with_suffix(""), by)
    else:
        shutil.copyfile(sealed, plain)


def _digest(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _each(items: Iterable[T], act: Callable[[T], R]) -> list[R]:
    with ThreadPoolExecutor(_WORKERS) as workers:
        return list(workers.map(act, items))
