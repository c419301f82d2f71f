"""The ledger file: one line an entry, only ever appended to, each under a newly signed head."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ops_lib.archive import files
from ops_lib.archive.heads import Growth, Heads
from ops_lib.archive.keys import Keys
from ops_lib.model.checkpoint import Head
from ops_lib.model.entries import misshapen, understood
from ops_lib.model.errors import DoesNotVerify
from ops_lib.model.ledger import Entry, EntryKind, parse_line, sha256
from ops_lib.model.merkle import Tree, leaf_hash
from ops_lib.model.times import format_instant

Gate = Callable[[], None]
"""What is asked while nobody else can add to the ledger; where it raises, nothing is added."""

_WINDOW = 1 << 16


def ajar() -> None:
    """The gate that lets everything through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """An entry, and what shows that the signed head `head` covers it."""

    entry: Entry
    inclusion: tuple[bytes, ...]
    head: Head


class Ledger:
    """Everything that happened in an archive, in order, in `ledger.jsonl`; whoever adds to it signs with `keys`."""

    def __init__(self, root: Path, keys: Keys | None = None) -> None:
        self.path = root / "ledger.jsonl"
        self.heads = Heads(root)
        self._keys = keys
        self._lock = root / "ledger.lock"

    def append(
        self,
        kind: EntryKind,
        *,
        at: datetime,
        who: str,
        body: Mapping[str, Any],
        run_id: str | None = None,
        despite_loss: bool = False,
        gate: Gate = ajar,
    ) -> Proven:
        """Add an entry; once this returns, it and the signed head that covers it survive a power cut.

        What stands behind the last head, whole or torn, was never acknowledged: it is cut off, and an entry says so.
        DoesNotVerify, and nothing is added, where the ledger is not what was signed before.
        """
        keys = self._signing_keys()
        stamp = {"at": format_instant(at), "who": who}
        with self._locked() as descriptor:
            gate()
            growth = self.heads.resume(descriptor, _whole(descriptor), keys, despite_loss=despite_loss)
            for noted, said in self._notes(descriptor, growth, keys):
                note = self._write(descriptor, growth, kind=noted, run_id=None, body=said, **stamp)
                growth = growth.add(note.line())
            entry = self._write(descriptor, growth, kind=kind, run_id=run_id, body=body, **stamp)
            inclusion = tuple(growth.frontier.inclusion_of_next())
            head = self.heads.sign(growth.add(entry.line()), keys)
            return Proven(entry=entry, inclusion=inclusion, head=head)

    def _notes(self, descriptor: int, growth: Growth, keys: Keys) -> Iterator[tuple[EntryKind, Mapping[str, Any]]]:
        """What an entry has to say before anything else is added: what was cut off, or that the ledger is a new one."""
        end = os.fstat(descriptor).st_size
        if end > growth.end:
            cut = os.pread(descriptor, end - growth.end, growth.end)
            os.ftruncate(descriptor, growth.end)
            yield EntryKind.TORN, {"bytes": len(cut), "sha256": sha256(cut)}
        lost = keys.last_signed(self.heads.root)
        if lost and growth.end == 0:
            yield EntryKind.RESTORED, {"reason": "there was no archive any more", "lost": lost.text()}

    def prove(self, entries: Sequence[Entry]) -> tuple[Head, list[tuple[bytes, ...]]]:
        """A head that covers entries which stand in the ledger, and the inclusion proof of each."""
        keys = self._signing_keys()
        with self._locked() as descriptor:
            head = self.heads.sign(self.heads.resume(descriptor, _whole(descriptor), keys), keys)
        size = head.checkpoint.size
        tree = Tree(map(leaf_hash, self.lines()[:size]))
        return head, [tuple(tree.inclusion(entry.seq, size)) for entry in entries]

    def why_nothing_can_be_added(self) -> DoesNotVerify | None:
        """What speaks against signing this ledger once more, or nothing."""
        keys = self._signing_keys()
        try:
            with self._locked() as descriptor:
                self.heads.resume(descriptor, _whole(descriptor), keys)
        except DoesNotVerify as error:
            return error
        return None

    def remove_unfinished(self) -> None:
        """Remove what killed writers of heads left beside the ledger; they hold its lock, and so does this."""
        root = self.path.parent
        if any(root.glob(".*.part")):
            with files.locked(self._lock), files.explained_below(root):
                for path in root.glob(".*.part"):
                    path.unlink(missing_ok=True)

    def lines(self) -> list[bytes]:
        """The whole lines of the file, without their newlines; an unfinished end is not among them."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        return content.split(b"\n")[:-1]

    def signed_lines(self) -> list[bytes]:
        """The lines that a head covers. Read without a lock: what is covered never changes, and heads only grow."""
        covered = self.heads.covered(self._keys)
        return self.lines()[:covered]

    def entries(self) -> Iterator[Entry]:
        """The entries in order; one that cannot be read ends them with an error that names it."""
        for number, line in enumerate(self.signed_lines()):
            try:
                yield understood(line)
            except ValueError as error:
                raise DoesNotVerify(f"{self.path} entry {number}: {error}", hint="see `runbook verify`") from None

    def of_run(self, run_id: str, kind: EntryKind) -> Entry | None:
        """The newest entry of one kind that a run has, or nothing."""
        return next((entry for entry in reversed(self.all_of_run(run_id)) if entry.kind == kind), None)

    def all_of_run(self, run_id: str) -> list[Entry]:
        """The entries of a run, in order."""
        wanted = f'"run_id":"{run_id}"'.encode()
        entries = (parse_line(line) for line in self.signed_lines() if wanted in line)
        return [entry for entry in entries if entry.run_id == run_id and misshapen(entry) is None]

    def _write(
        self, descriptor: int, growth: Growth, *, at: str, kind: EntryKind, run_id: str | None, who: str,
        body: Mapping[str, Any],
    ) -> Entry:  # fmt: skip
        previous = _after_newline(descriptor, growth.end - 1) if growth.end else None
        seq = growth.frontier.size
        entry = Entry.after(previous, seq=seq, at=at, kind=kind, run_id=run_id, who=who, body=body)
        try:
            os.lseek(descriptor, growth.end, os.SEEK_SET)
            files.write_all(descriptor, entry.line() + b"\n")
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, growth.end)
            raise
        if growth.end == 0:
            files.sync_folder(self.path.parent)
        return entry

    def _signing_keys(self) -> Keys:
        """The keys, with the private one made: what cannot be signed is not written either."""
        if self._keys is None:
            raise TypeError("whoever adds to a ledger needs keys to sign its head")
        self._keys.prepare()
        return self._keys

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """A descriptor of the file while nobody else adds to it."""
        with files.locked(self._lock), files.explained(self.path):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                yield descriptor
            finally:
                os.close(descriptor)


def _whole(descriptor: int) -> int:
    """How many bytes of a file are whole lines."""
    end = os.fstat(descriptor).st_size
    return end - len(_after_newline(descriptor, end))


def _after_newline(descriptor: int, end: int) -> bytes:
    """What stands between the last newline before `end` and `end`."""
    size = _WINDOW
    while True:
        tail = os.pread(descriptor, min(size, end), max(0, end - size))
        if b"\n" in tail or size >= end:
            return tail[tail.rfind(b"\n") + 1 :]
        size *= 4
