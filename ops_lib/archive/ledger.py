"""The ledger file: one line an entry, only ever appended to."""

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ops_lib.archive import files
from ops_lib.model.errors import DoesNotVerify
from ops_lib.model.ledger import Entry, EntryKind, parse_line
from ops_lib.model.times import format_instant

_WINDOW = 1 << 16


class Ledger:
    """Everything that happened in an archive, in order, in `ledger.jsonl`."""

    def __init__(self, root: Path) -> None:
        self.path = root / "ledger.jsonl"
        self._lock = root / "ledger.lock"

    def append(
        self, kind: EntryKind, *, at: datetime, who: str, body: Mapping[str, Any], run_id: str | None = None
    ) -> Entry:
        """Add an entry; once this returns it survives a power cut.

        What a killed writer left unfinished at the end was never acknowledged: it is cut off, and an entry says so.
        """
        with files.locked(self._lock), files.explained(self.path):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                torn = self._cut_torn_end(descriptor)
                if torn:
                    self._write(descriptor, kind=EntryKind.TORN, at=at, run_id=None, who=who, body={"bytes": torn})
                return self._write(descriptor, kind=kind, at=at, run_id=run_id, who=who, body=body)
            finally:
                os.close(descriptor)

    def lines(self) -> list[bytes]:
        """The whole lines of the file, without their newlines; an unfinished end is not among them."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        return content.split(b"\n")[:-1]

    def entries(self) -> Iterator[Entry]:
        """The entries in order; one that cannot be read ends them with an error that names it."""
        for number, line in enumerate(self.lines()):
            try:
                yield parse_line(line)
            except ValueError as error:
                raise DoesNotVerify(f"{self.path} entry {number}: {error}", hint="see `runbook verify`") from None

    def of_run(self, run_id: str, kind: EntryKind) -> Entry | None:
        """The entry of one kind that a run has, or nothing."""
        wanted = f'"run_id":"{run_id}"'.encode()
        found = (parse_line(line) for line in reversed(self.lines()) if wanted in line)
        return next((entry for entry in found if entry.kind == kind and entry.run_id == run_id), None)

    def _write(
        self, descriptor: int, *, kind: EntryKind, at: datetime, run_id: str | None, who: str, body: Mapping[str, Any]
    ) -> Entry:
        end = os.lseek(descriptor, 0, os.SEEK_END)
        previous = self._last_line(descriptor, end)
        seq = parse_line(previous).seq + 1 if previous is not None else 0
        entry = Entry.after(previous, seq=seq, at=format_instant(at), kind=kind, run_id=run_id, who=who, body=body)
        try:
            files.write_all(descriptor, entry.line() + b"\n")
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, end)
            raise
        if end == 0:
            files.sync_folder(self.path.parent)
        return entry

    def _cut_torn_end(self, descriptor: int) -> int:
        """How many bytes were cut off after the last newline."""
        end = os.lseek(descriptor, 0, os.SEEK_END)
        torn = len(_after_newline(descriptor, end))
        if torn:
            os.ftruncate(descriptor, end - torn)
        return torn

    def _last_line(self, descriptor: int, end: int) -> bytes | None:
        return _after_newline(descriptor, end - 1) if end else None


def _after_newline(descriptor: int, end: int) -> bytes:
    """What stands between the last newline before `end` and `end`."""
    size = _WINDOW
    while True:
        tail = os.pread(descriptor, min(size, end), max(0, end - size))
        if b"\n" in tail or size >= end:
            return tail[tail.rfind(b"\n") + 1 :]
        size *= 4
