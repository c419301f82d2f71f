"""Runs that are not sealed yet: a folder each below `staging/`, locked by the supervisor for as long as it lives."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ops_lib.archive import files
from ops_lib.model.errors import ArchiveUnwritable
from ops_lib.model.journal import Event, line_of, read_events

JOURNAL = "journal.jsonl"
ATTACHMENTS = "attachments"


class Staging:
    """The folder in which one run keeps what it produces until it is sealed.

    Whoever holds a `Staging` holds the folder's lock; `close` lets go of it.
    """

    def __init__(self, folder: Path, lock: int, events: list[dict[str, Any]]) -> None:
        self.folder = folder
        self.run_id = folder.name
        self.events = events
        self._lock = lock
        with files.explained(folder / JOURNAL):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._journal = os.open(folder / JOURNAL, flags, 0o644)

    @classmethod
    def create(cls, root: Path, run_id: str) -> "Staging":
        """A new run's folder, locked before it has its name, so that nobody takes it for an abandoned one."""
        staging = root / "staging"
        files.make_folder(staging)
        nameless = staging / f".{run_id}"
        with files.explained(nameless):
            nameless.mkdir()
            lock = files.try_lock_folder(nameless)
            if lock is None:
                raise ArchiveUnwritable(f"{nameless} is in use by another run")
            nameless.rename(staging / run_id)
            files.sync_folder(staging)
        return cls(staging / run_id, lock, [])

    @classmethod
    def abandoned(cls, root: Path) -> Iterator["Staging"]:
        """The folders whose supervisor is gone, each locked for the caller, with the events that it journalled."""
        for folder in sorted((root / "staging").glob("[0-9A-Z]*")):
            lock = files.try_lock_folder(folder)
            if lock is None:
                continue
            if not folder.exists():  # sealed by somebody else between the two calls
                os.close(lock)
                continue
            yield cls(folder, lock, events_of(folder))

    def append(self, event: Event, *, durable: bool = False) -> None:
        """Add an event to the journal; `durable` waits until it survives a power cut."""
        with files.explained(self.folder / JOURNAL):
            files.write_all(self._journal, line_of(event))
            if durable:
                os.fsync(self._journal)
        self.events.append(dict(event))

    def write(self, name: str, content: bytes) -> None:
        """Put a file into the folder, whole."""
        files.write_whole(self.folder / name, content)

    def attach(self, name: str, content: bytes) -> None:
        """Keep a file beside the record; names are letters, digits, dot, dash and underscore."""
        files.make_folder(self.folder / ATTACHMENTS)
        files.write_whole(self.folder / ATTACHMENTS / name, content)

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def contents(self) -> list[Path]:
        """Every file of the folder, relative to it, in order; what a killed write left behind is not among them."""
        found = (path for path in self.folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(path.relative_to(self.folder) for path in found)

    def clear_leftovers(self) -> None:
        """Remove what killed writes left behind, and make the journal durable to its last whole line."""
        for path in self.folder.rglob(".*.part"):
            path.unlink()
        whole = sum(len(line_of(event)) for event in self.events)
        os.ftruncate(self._journal, whole)
        os.fsync(self._journal)

    def discard(self) -> None:
        """Remove the folder of a run that never began."""
        shutil.rmtree(self.folder)
        self.close()

    def close(self) -> None:
        """Let go of the journal and of the lock."""
        os.close(self._journal)
        os.close(self._lock)


def unfinished(root: Path) -> list[str]:
    """The ids of the runs that are not sealed, whether they live or not."""
    return sorted(folder.name for folder in (root / "staging").glob("[0-9A-Z]*"))


def events_of(folder: Path) -> list[dict[str, Any]]:
    """What the journal of a run says, sealed or not, up to its last whole line."""
    try:
        with (folder / JOURNAL).open("rb") as lines:
            return list(read_events(lines))
    except FileNotFoundError:
        return []
