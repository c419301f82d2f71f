"""Files that are written whole or not at all, and survive a power cut once the call has returned."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops_lib.model.errors import ArchiveUnwritable

_REASONS = {
    errno.ENOSPC: "no space is left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission is denied",
    errno.EIO: "the device reports an input/output error",
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns what the system says about a write into an error that names the path and what to do."""
    try:
        yield
    except OSError as error:
        raise _failed("write", str(path), error) from error


@contextmanager
def explained_below(root: Path) -> Iterator[None]:
    """As `explained`, for work on many files of a folder, reading included: the file that is to blame is named."""
    try:
        yield
    except OSError as error:
        named = str(error.filename or "")
        raise _failed("use", named if named.startswith(str(root)) else str(root), error) from error


def _failed(what: str, path: str, error: OSError) -> ArchiveUnwritable:
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    hint = "make room or choose another archive with --archive DIR"
    return ArchiveUnwritable(f"cannot {what} {path}: {reason}", hint=hint)


def write_whole(path: Path, content: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Put a file in its place: beside it under a temporary name, fsync, rename, fsync of the folder.

    After an error the old file stands under `path` or, where only the last fsync failed, the new one; never a part. A
    file whose fsync failed is never synced again, since the kernel may have dropped its pages: it is removed, and
    another is written. What can be made again need not be `durable`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with explained(path):
        try:
            _write(temporary, content, mode, durable)
            temporary.replace(path)
            if durable:
                sync_folder(path.parent)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def _write(path: Path, content: bytes, mode: int, durable: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        write_all(descriptor, content)
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, content: bytes) -> None:
    """Write every byte, however many calls it takes."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path, *, mode: int = 0o755) -> None:
    """Make a folder and those above it, durably."""
    with explained(path):
        if path.is_dir():
            return
        make_folder(path.parent, mode=mode)
        path.mkdir(mode=mode, exist_ok=True)
        sync_folder(path.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on a file, made where it is missing; waits for another holder to let go."""
    with explained(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed calls of `write_whole` left in a folder and those below it, where nobody writes any more."""
    with explained_below(folder):
        for path in folder.rglob(".*.part"):
            path.unlink(missing_ok=True)


def lock_folder(path: Path) -> int:
    """A descriptor that holds a folder's lock until it is closed; waits for another holder to let go."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def try_lock_folder(path: Path) -> int | None:
    """A descriptor that holds a folder's lock until it is closed, or nothing where another process holds it.

    The kernel lets go when the holder dies, so a lock that can be taken proves that its holder is gone.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
