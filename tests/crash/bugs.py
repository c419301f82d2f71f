"""Bugs that are planted on purpose: a suite that does not catch them all proves nothing.

Each is a careless way to write the archive, patched over the careful one in the process that is tested. The table
says in words what is wrong, and which kind of trial is expected to notice.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from ops_lib.archive import files, ledger, records, staging
from ops_lib.model.errors import ArchiveUnwritable
from ops_lib.model.journal import line_of
from tests.crash.inject import CHANGING


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """What was done wrongly, the trials that can notice it, and where in the story that is."""

    what: str
    trial: str
    patches: Mapping[str, Any]
    operations: tuple[str, ...] = ("intent", "journal", "seal")
    calls: frozenset[str] = CHANGING

    @property
    def part(self) -> str:
        """Which part of the suite the trial belongs to."""
        return _PARTS[self.trial]


_PARTS = {
    "power": "power cuts",
    "KILL": "kills",
    "EIO": "failing calls",
    "ENOSPC": "failing calls",
    "story": "the story without faults",
    "torn": "torn journals",
    "together": "writers at once",
}


def _nothing(*_: object, **__: object) -> None:
    """Done by somebody who thinks that it is not needed."""


def _without_sync(path: Path, content: bytes, mode: int, durable: bool) -> None:
    """The file's bytes are left to the kernel."""
    path.write_bytes(content)


def _in_place(path: Path, content: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Written under its own name, as an editor would."""
    with path.open("wb") as file:
        file.write(content[: len(content) // 2])
        file.flush()
        file.write(content[len(content) // 2 :])
        os.fsync(file.fileno())


def _renamed_first(path: Path, content: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """The name is given before the bytes are there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    temporary.replace(path)
    files.write_all(descriptor, content)
    os.fsync(descriptor)
    os.close(descriptor)
    files.sync_folder(path.parent)


def _swallowed(path: Path, content: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """An error while writing is passed over, and the caller goes on."""
    with suppress(ArchiveUnwritable, OSError):
        _write_whole(path, content, mode=mode, durable=durable)


def _one_write(descriptor: int, content: bytes) -> None:
    """What one call wrote is taken for everything."""
    os.write(descriptor, content[: max(1, len(content) // 2)])


def _append_without_care(self: staging.Staging, event: Any, *, durable: bool = False) -> None:
    """A journal line that is never synced, and whose failure is not remembered."""
    files.write_all(self._opened(), line_of(event))
    self.events.append(dict(event))


def _entry_first(self: records.Records, run: staging.Staging, record: Any, *, at: Any, who: str) -> Path:
    """The ledger names the digests of files that are not there yet."""
    kept: list[tuple[Path, bytes]] = []
    with mock.patch.object(
        staging.Staging, "write", lambda _, name, content: kept.append((run.folder / name, content))
    ):
        content_seen: list[Any] = []
        original = self._ledger.append

        def append(*arguments: Any, **named: Any) -> Any:
            content_seen.append(original(*arguments, **named))
            for path, content in kept:
                _write_whole(path, content)
            kept.clear()
            return content_seen[0]

        with mock.patch.object(self._ledger, "append", append), mock.patch.object(self, "_place", _nothing):
            _seal(self, run, record, at=at, who=who)
    return self.finish(run)


def _sign_first(self: ledger.Ledger, descriptor: int, growth: Any, **named: Any) -> Any:
    """The head covers an entry that is not written yet."""
    with mock.patch.object(files, "write_all", _nothing):
        entry = _write_entry(self, descriptor, growth, **named)
    assert self._keys is not None
    self.heads.sign(growth.add(entry.line()), self._keys)
    files.write_all(descriptor, entry.line() + b"\n")
    os.fsync(descriptor)
    return entry


def _discards(at: Any, run: staging.Staging) -> bool:
    """Recovery tidies up by throwing away."""
    run.discard()
    return False


def _believes_anything(lines: Any) -> Iterator[dict[str, Any]]:
    """A journal line is taken for whole without a look at its checksum or its end."""
    for line in lines:
        event = json.loads(line.decode().ljust(2, "{") if not line.endswith(b"\n") else line)
        event.pop("sum", None)
        yield event


@contextmanager
def _unlocked(path: Path) -> Iterator[None]:
    """Nobody else will write at the same time."""
    yield


_write_whole, _seal, _write_entry = files.write_whole, records.Records.seal, ledger.Ledger._write

BUGS: Mapping[str, Bug] = {
    "nothing-is-synced": Bug(
        what="no file and no folder is synced",
        trial="power",
        patches={"os.fsync": _nothing},
    ),
    "file-is-not-synced": Bug(
        what="a file is renamed into place without an fsync of its bytes",
        trial="power",
        patches={"ops_lib.archive.files._write": _without_sync},
    ),
    "folder-is-not-synced": Bug(
        what="the folder is not synced after a rename",
        trial="power",
        operations=("journal", "index"),
        patches={"ops_lib.archive.files.sync_folder": _nothing},
    ),
    "journal-is-not-synced": Bug(
        what="a journal line is acknowledged before it is synced",
        trial="power",
        operations=("journal",),
        patches={"ops_lib.archive.staging.Staging.append": _append_without_care},
    ),
    "written-in-place": Bug(
        what="head and proof are overwritten where they stand",
        trial="KILL",
        calls=frozenset({"write"}),
        patches={"ops_lib.archive.files.write_whole": _in_place},
    ),
    "renamed-before-written": Bug(
        what="the name is given before the bytes are written",
        trial="KILL",
        calls=frozenset({"write"}),
        patches={"ops_lib.archive.files.write_whole": _renamed_first},
    ),
    "full-disk-is-swallowed": Bug(
        what="an error of a write is passed over",
        trial="ENOSPC",
        calls=frozenset({"write"}),
        patches={"ops_lib.archive.files.write_whole": _swallowed},
    ),
    "short-write-is-ignored": Bug(
        what="what one write() wrote is taken for everything",
        trial="story",
        patches={"ops_lib.archive.files.write_all": _one_write},
    ),
    "entry-before-files": Bug(
        what="the ledger's entry is written before the files that it names",
        trial="KILL",
        operations=("seal",),
        patches={"ops_lib.archive.records.Records.seal": _entry_first},
    ),
    "signed-before-appended": Bug(
        what="the head is signed before its entry is written",
        trial="KILL",
        patches={"ops_lib.archive.ledger.Ledger._write": _sign_first},
    ),
    "recovery-deletes": Bug(
        what="recovery removes what is unfinished",
        trial="KILL",
        patches={"ops_lib.operations.recover._recover": _discards},
    ),
    "leftovers-stay": Bug(
        what="what a killed write left is sealed with the rest",
        trial="KILL",
        operations=("seal",),
        calls=frozenset({"rename"}),
        patches={"ops_lib.operations.recover.remove_unfinished": _nothing},
    ),
    "torn-line-is-believed": Bug(
        what="a torn line of the journal is taken for an event",
        trial="torn",
        patches={"ops_lib.archive.staging.read_events": _believes_anything},
    ),
    "lock-is-not-taken": Bug(
        what="two writers of the ledger do not wait for one another",
        trial="together",
        patches={"ops_lib.archive.files.locked": _unlocked},
    ),
}


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """One bug, or none, as long as the context lasts."""
    if name is None:
        yield
        return
    with _all_patched(dict(BUGS[name].patches)):
        yield


@contextmanager
def _all_patched(patches: dict[str, Any]) -> Iterator[None]:
    if not patches:
        yield
        return
    target, value = patches.popitem()
    with mock.patch(target, value), _all_patched(patches):
        yield
