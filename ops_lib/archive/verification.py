"""Whether an archive is what its ledger and its signed head say: everything recomputed, what does not fit named."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ops_lib.archive.evidence import Fault, Verification, file_faults, read_proof
from ops_lib.archive.heads import HEAD, PUBLIC
from ops_lib.archive.keys import Keys, signer_of
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import PROOF, Records
from ops_lib.archive.staging import unfinished
from ops_lib.model.checkpoint import Head, VerifierKey, origin_of
from ops_lib.model.errors import BadInput
from ops_lib.model.ledger import Entry, EntryKind, first_break, parse_line
from ops_lib.model.merkle import Tree, extends, leaf_hash
from ops_lib.model.proof import Proof
from ops_lib.model.tombstone import expected_files, pruned

AMENDING = "amending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What a verification relies on that is not in the archive.

    `given` are the public keys that a person brought along; without them those of the archive are taken, and `own`,
    the keys of this user, which also remember what they signed last. `kept` are heads that were kept elsewhere.
    """

    given: Sequence[VerifierKey] = ()
    own: Keys | None = None
    kept: Mapping[str, Head] = field(default_factory=dict)


def verify_archive(root: Path, trust: Trust | None = None) -> Verification:
    """Recompute the chain, the tree and its head, and every file of every record."""
    lines = Ledger(root).lines()
    broken = first_break(lines)
    if broken:
        fault = Fault(where=f"ledger.jsonl entry {broken[0]}", what=broken[1])
        return Verification(entries=len(lines), records=0, faults=(fault,))
    entries = [parse_line(line) for line in lines]
    return _Archive(root, lines, entries, trust or Trust()).whole()


def verify_run(root: Path, folder: Path, trust: Trust | None = None) -> Verification:
    """Recompute one record against its entries in the ledger, and the head over them."""
    lines = Ledger(root).lines()
    wanted = f'"run_id":"{folder.name}"'.encode()
    try:
        entries = [parse_line(line) for line in lines if wanted in line]
    except ValueError as error:
        fault = Fault(where="ledger.jsonl", what=f"has an entry of {folder.name} that is {error}")
        return Verification(entries=len(lines), records=1, faults=(fault,))
    return _Archive(root, lines, entries, trust or Trust()).one(folder)


class _Archive:
    """An archive while it is verified."""

    def __init__(self, root: Path, lines: list[bytes], entries: list[Entry], trust: Trust) -> None:
        self.root = root
        self.entries = entries
        self.tree = Tree(map(leaf_hash, lines))
        self.origin = origin_of(lines[0]) if lines else None
        self.trust = trust
        self.results = {str(entry.run_id): entry for entry in entries if entry.kind == EntryKind.RESULT}
        self.tombstones: dict[str, list[Entry]] = {}
        for entry in entries:
            if entry.kind == EntryKind.TOMBSTONE:
                self.tombstones.setdefault(str(entry.run_id), []).append(entry)
        self.waiting = unfinished(root)
        self.notes: list[str] = []
        self.faults: list[Fault] = []
        self.head: Head | None = None
        self.keys = self._keys()
        self._roots: dict[int, bool] = {}

    def whole(self) -> Verification:
        self._look_at_head()
        self.faults += _pairing_faults(self.entries, self.results, self.waiting)
        for entry in self.results.values():
            self.faults += self._read_faults(entry)
        self.faults += self._stray_faults()
        self._look_at_signed_roots()
        for entry in self.entries:
            if entry.kind == EntryKind.RESTORED:
                reason = entry.body.get("reason")
                self.notes.append(
                    f"{entry.who} put an older archive back at {entry.at}, as entry {entry.seq}: {reason}"
                )
        return self._verified(len(self.results))

    def one(self, folder: Path) -> Verification:
        self._look_at_head()
        entry = self.results.get(folder.name)
        if entry is None:
            self.faults.append(Fault(where=self._relative(folder), what="has no result in the ledger"))
        else:
            self.faults += self._read_faults(entry)
        self._look_at_signed_roots()
        return self._verified(1)

    def _verified(self, records: int) -> Verification:
        gone = [run_id for run_id, entries in self.tombstones.items() if pruned(entries)]
        return Verification(
            entries=self.tree.size, records=records - len(gone), faults=tuple(self.faults),
            unfinished=tuple(self.waiting), pruned=tuple(gone),
            redacted=tuple(run_id for run_id in self.tombstones if run_id not in gone), notes=tuple(self.notes),
        )  # fmt: skip

    def _keys(self) -> Sequence[VerifierKey]:
        """The keys that count. Those of the archive are looked at in any case, since a reader relies on them."""
        lying: Sequence[VerifierKey] = ()
        try:
            lying = Ledger(self.root).heads.public()
        except BadInput as error:
            self.faults.append(Fault(where=PUBLIC, what=f"was changed: {error.message}"))
        if self.trust.given:
            return self.trust.given
        own = self.trust.own.own(self.origin) if self.trust.own and self.origin else None
        if own is None or own not in lying:
            self.notes.append("signatures were checked with the key of the archive itself: give --key for more")
        return [*lying, own] if own and own not in lying else lying

    # The head, and heads that were kept elsewhere.

    def _look_at_head(self) -> None:
        ledger = Ledger(self.root)
        if ledger.path.exists() and ledger.path.read_bytes()[-1:] not in (b"", b"\n"):
            self.notes.append("the ledger ends in an unfinished line, which was never acknowledged")
        try:
            self.head = ledger.heads.read()
        except ValueError as error:
            self.faults.append(Fault(where=HEAD, what=f"was changed: it is {error}"))
            return
        if self.head:
            self.faults += self._head_faults(HEAD, self.head)
            newer = self.tree.size - self.head.checkpoint.size
            if newer > 0:
                self.notes.append(f"{newer} entries are newer than the signed head")
        elif any(self.folder_of(run_id).exists() for run_id in self.results):
            self.faults.append(Fault(where=HEAD, what="is missing"))
        self._look_at_kept_heads()

    def _look_at_kept_heads(self) -> None:
        own = self.trust.own
        last = own.last_signed(self.root, self.origin) if own and self.origin else None
        kept = {**self.trust.kept, **({"the head that was signed last here": last} if last else {})}
        for name, head in kept.items():
            self.faults += self._head_faults(name, head)

    def _head_faults(self, name: str, head: Head) -> Iterator[Fault]:
        old, size = head.checkpoint, self.tree.size
        if (len(head.signatures) != 1 and name == HEAD) or signer_of(head, self.keys) is None:
            yield Fault(where=name, what="is not signed by a key that counts")
        elif old.origin != self.origin:
            yield Fault(where=name, what=f"is of another ledger: {old.origin}, and this one is {self.origin}")
        elif old.size > size:
            yield Fault(where=name, what=f"covers {old.size} entries, and the ledger has {size}: its end was cut off")
        else:
            self._roots[old.size] = extends(
                old.root, old.size, self.tree.root(size), size, self.tree.consistency(old.size, size)
            )  # fmt: skip
            if not self._roots[old.size]:
                yield Fault(where=name, what=f"was signed over {old.size} other entries than the ledger begins with")

    def _look_at_signed_roots(self) -> None:
        """Name the place where the ledger leaves what was signed, as closely as the heads in the proofs tell."""
        wrong = [size for size, right in self._roots.items() if not right]
        if wrong:
            first = max((size for size, right in self._roots.items() if right and size < min(wrong)), default=0)
            what = f"{first} to {min(wrong) - 1}: what stands there is not what was signed"
            self.faults.append(Fault(where="ledger.jsonl entries", what=what))

    # Records.

    def folder_of(self, run_id: str) -> Path:
        return Records(self.root).folder_of(run_id)

    def _read_faults(self, entry: Entry) -> list[Fault]:
        """What is wrong with a record; an entry that no program of ours has written says nothing of one."""
        try:
            return list(self._record_faults(entry))
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            return [Fault(where=f"ledger.jsonl entry {entry.seq}", what=f"does not describe a record: {error}")]

    def _record_faults(self, entry: Entry) -> Iterator[Fault]:
        run_id = str(entry.run_id)
        folder, tombstones = self.folder_of(run_id), self.tombstones.get(run_id, [])
        amending = (self.root / AMENDING / run_id).is_dir()
        staged = not folder.exists() and run_id in self.waiting
        if staged:
            folder = self.root / "staging" / run_id
        if pruned(tombstones):
            if folder.exists() and not amending:
                yield Fault(where=self._relative(folder), what="was pruned, and is there")
            return
        if folder.is_symlink() or not folder.is_dir():
            yield Fault(where=self._relative(folder), what="is missing")
            return
        # While a redaction is under way, a file is either as before or as after.
        stages = [tombstones, tombstones[:-1]] if amending else [tombstones]
        for path, what in file_faults(folder, [expected_files(entry, stage) for stage in stages]):
            yield Fault(where=self._relative(folder / path), what=what)
        if not staged:
            yield from self._proof_faults(folder, [(entry, *stage) for stage in stages])
            yield from self._uncovered(folder, entry)

    def _uncovered(self, folder: Path, entry: Entry) -> Iterator[Fault]:
        """A record is in its place only once the head covers its entry."""
        if self.head and entry.seq >= self.head.checkpoint.size:
            yield Fault(where=HEAD, what=f"is older than {self._relative(folder)}")

    def _proof_faults(self, folder: Path, allowed: Sequence[tuple[Entry, ...]]) -> Iterator[Fault]:
        where = self._relative(folder / PROOF)
        try:
            proof = read_proof(folder)
        except ValueError as error:
            yield Fault(where=where, what=str(error))
            return
        fault = self._proof_fault(proof, allowed)
        if fault:
            yield Fault(where=where, what=fault)

    def _proof_fault(self, proof: Proof, allowed: Sequence[tuple[Entry, ...]]) -> str | None:
        head, size = proof.head.checkpoint, proof.head.checkpoint.size
        if len(proof.head.signatures) != 1 or signer_of(proof.head, self.keys) is None:
            return "holds a head that is not signed by a key that counts"
        if head.origin != self.origin or size > self.tree.size:
            return f"holds a head over {size} entries of {head.origin}, which this ledger never had"
        self._roots[size] = head.root == self.tree.root(size)
        if not self._roots[size]:
            return None  # the ledger was changed before that size, which is named once
        if proof.entries not in allowed:
            return "does not hold the entries of this record"
        if self.head and size > self.head.checkpoint.size:
            return "holds a newer head than the archive"
        paths = tuple(tuple(self.tree.inclusion(entry.seq, size)) for entry in proof.entries)
        return None if proof.inclusions == paths else "does not lead from its entries to its head"

    def _stray_faults(self) -> Iterator[Fault]:
        for folder in Records(self.root).newest_first():
            if folder.name not in self.results:
                yield Fault(where=self._relative(folder), what="is a record that the ledger does not know")
            elif folder != self.folder_of(folder.name):
                yield Fault(where=self._relative(folder), what="is not where it belongs")

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def _pairing_faults(entries: list[Entry], results: Mapping[str, Entry], waiting: list[str]) -> Iterator[Fault]:
    """An intent without a result and without a staged run was removed; a run has one intent and one result."""
    seen: set[tuple[str | None, str]] = set()
    for entry in entries:
        if entry.kind not in (EntryKind.INTENT, EntryKind.RESULT):
            continue
        if (entry.run_id, entry.kind) in seen:
            yield Fault(where=f"ledger.jsonl entry {entry.seq}", what=f"repeats the {entry.kind} of {entry.run_id}")
        seen.add((entry.run_id, entry.kind))
        if entry.kind == EntryKind.INTENT and entry.run_id not in results and entry.run_id not in waiting:
            yield Fault(where=f"staging/{entry.run_id}", what="was begun and never sealed, and is gone")
        if entry.kind == EntryKind.RESULT and (entry.run_id, EntryKind.INTENT.value) not in seen:
            yield Fault(where=f"ledger.jsonl entry {entry.seq}", what=f"is a result of {entry.run_id} without intent")
