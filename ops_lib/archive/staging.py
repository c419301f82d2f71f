"""Runs that are not sealed yet: a folder each below `staging/`, locked by the supervisor for as long as it lives."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ops_lib.archive import files
from ops_lib.model.errors import ArchiveUnwritable
from ops_lib.model.journal import Event, line_of, read_events

JOURNAL = "journal.jsonl"
ATTACHMENTS = "attachments"


class Staging:
    """The folder in which one run keeps what it produces until it is sealed.

    Whoever holds a `Staging` holds the folder's lock; `close` lets go of it. One that was abandoned by its supervisor
    has no journal to add to: its events are what stands in the journal whole.
    """

    def __init__(self, folder: Path, lock: int, journal: int | None, events: list[dict[str, Any]]) -> None:
        self.folder = folder
        self.run_id = folder.name
        self.events = events
        self._lock: int | None = lock
        self._journal = journal
        self._failed: ArchiveUnwritable | None = None
        self._synced = False

    @classmethod
    def create(cls, root: Path, run_id: str) -> "Staging":
        """A new run's folder, locked before it has its name, so that nobody takes it for an abandoned one."""
        folder = root / "staging" / run_id
        files.make_folder(folder.parent)
        with files.explained(folder):
            nameless = folder.with_name(f".{run_id}")
            lock = _locked_new(nameless)
            nameless.rename(folder)
            files.sync_folder(folder.parent)
            journal = os.open(folder / JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        return cls(folder, lock, journal, [])

    @classmethod
    def reopen(cls, root: Path, run_id: str) -> "Staging | None":
        """The folder of a run that waits, to go on with it; nothing where another process has it."""
        folder = root / "staging" / run_id
        lock = files.try_lock_folder(folder)
        if lock is None or not folder.exists():
            return None
        staging = cls(folder, lock, None, events_of(folder))
        staging.clear_leftovers()
        with files.explained(folder / JOURNAL):
            staging._journal = os.open(folder / JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        return staging

    @classmethod
    def abandoned(cls, root: Path, leave: Callable[[Sequence[Event]], bool] = lambda _: False) -> Iterator["Staging"]:
        """The folders whose supervisor is gone, each locked for the caller, with the events that it journalled.

        Those whose events say so to `leave` are not even locked.
        """
        for folder in sorted((root / "staging").glob("[0-9A-Z]*")):
            if leave(events_of(folder)):
                continue
            lock = files.try_lock_folder(folder)
            if lock is None:
                continue
            if not folder.exists():  # sealed by somebody else between the two calls
                os.close(lock)
                continue
            yield cls(folder, lock, None, events_of(folder))

    def append(self, event: Event, *, durable: bool = False) -> None:
        """Add an event to the journal; `durable` waits until it survives a power cut.

        A journal that could not be written once takes nothing more: half a line may stand at its end, and after a
        failed fsync nobody knows what the disk holds. Recovery makes a new file of the lines that are whole.
        """
        if self._failed:
            raise self._failed
        try:
            with files.explained(self.folder / JOURNAL):
                files.write_all(self._opened(), line_of(event))
                if durable:
                    os.fsync(self._opened())
                self._synced = durable
        except ArchiveUnwritable as error:
            self._failed = error
            raise
        self.events.append(dict(event))

    def _opened(self) -> int:
        if self._journal is None:
            raise TypeError("nothing is added to the journal of an abandoned run")
        return self._journal

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
        """Remove what killed writes left behind, and make the journal durable to its last whole line.

        The journal of an abandoned run is written anew, elsewhere: its supervisor may have died of a failed fsync.
        """
        files.remove_unfinished(self.folder)
        if self._failed:
            raise self._failed
        if self._journal is None:
            self.write(JOURNAL, b"".join(line_of(event) for event in self.events))
            return
        if not self._synced:
            with files.explained(self.folder / JOURNAL):
                os.fsync(self._journal)

    def rewrite(self, events: list[dict[str, Any]]) -> None:
        """Put other events in the place of those that were journalled; nothing is added to them afterwards."""
        self.write(JOURNAL, b"".join(line_of(event) for event in events))
        if self._journal is not None:
            os.close(self._journal)
        self._journal, self.events = None, events

    def discard(self) -> None:
        """Remove the folder of a run that never began."""
        with files.explained_below(self.folder):
            shutil.rmtree(self.folder)
        self.close()

    def close(self) -> None:
        """Let go of the journal and of the lock; a second time nothing happens."""
        held, self._journal, self._lock = (self._lock, self._journal), None, None
        for descriptor in held:
            if descriptor is not None:
                os.close(descriptor)


def unfinished(root: Path) -> list[str]:
    """The ids of the runs that are not sealed, whether they live or not."""
    return sorted(folder.name for folder in (root / "staging").glob("[0-9A-Z]*"))


def forget_nameless(root: Path) -> None:
    """Remove the folders of runs that were killed before theirs had its name."""
    with files.explained_below(root):
        for folder in (root / "staging").glob(".*"):
            lock = files.try_lock_folder(folder)
            if lock is not None:
                folder.rmdir()
                os.close(lock)


def _locked_new(folder: Path) -> int:
    """A new folder's lock; the folder is made again where a recovery took it for left behind in between."""
    while True:
        folder.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            lock = files.lock_folder(folder)
            if folder.exists():
                return lock
            os.close(lock)


def events_of(folder: Path) -> list[dict[str, Any]]:
    """What the journal of a run says, sealed or not, up to its last whole line."""
    try:
        with (folder / JOURNAL).open("rb") as lines:
            return list(read_events(lines))
    except FileNotFoundError:
        return []
