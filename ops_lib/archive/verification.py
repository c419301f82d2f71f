"""Whether an archive is what its ledger and its signed head say: everything recomputed, what does not fit named.

Others may go on working meanwhile. What a head covers never changes, so a head and the lines under it fit together when
the head is read first; a run whose files seem not to fit is judged again for as long as it is in motion.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ops_lib.archive.evidence import Fault, Verification, file_faults, read_proof
from ops_lib.archive.heads import HEAD, MOST_UNACKNOWLEDGED, PUBLIC
from ops_lib.archive.keys import Keys, signer_of
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.motion import AMENDING, run_of, settled
from ops_lib.archive.records import PROOF, Records
from ops_lib.archive.staging import unfinished
from ops_lib.model.checkpoint import Head, VerifierKey, origin_of
from ops_lib.model.entries import misshapen
from ops_lib.model.errors import BadInput
from ops_lib.model.ledger import Entry, EntryKind, first_break, parse_line
from ops_lib.model.merkle import Tree, extends, leaf_hash
from ops_lib.model.proof import Proof
from ops_lib.model.tombstone import expected_files, pruned


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
    archive = _Archive(root, trust or Trust())
    broken = first_break(archive.lines + archive.behind)
    if broken:
        fault = Fault(where=f"ledger.jsonl entry {broken[0]}", what=broken[1])
        return Verification(entries=len(archive.lines), records=0, faults=(fault,))
    return settled(root, archive.whole(), lambda runs: _Archive(root, archive.trust).of_runs(runs))


def verify_run(root: Path, folder: Path, trust: Trust | None = None) -> Verification:
    """Recompute one record against its entries in the ledger, and the head over them."""
    relied_on = trust or Trust()
    found = _Archive(root, relied_on, only=folder.name).one(folder)
    return settled(root, found, lambda runs: _Archive(root, relied_on, only=folder.name).of_runs(runs))


class _Archive:
    """An archive while it is verified. Of the ledger, what its head covers is looked at."""

    def __init__(self, root: Path, trust: Trust, *, only: str | None = None) -> None:
        self.root = root
        self.trust = trust
        self.faults: list[Fault] = []
        self.notes: list[str] = []
        self.last = trust.own.last_signed(root) if trust.own else None
        self.head = self._read_head()
        every = Ledger(root).lines()
        covered = self._covered(every)
        self.lines, self.behind = every[:covered], every[covered:]
        self.tree = Tree(map(leaf_hash, self.lines))
        self.origin = origin_of(self.lines[0]) if self.lines else None
        self.waiting = unfinished(root)
        self.keys = self._keys()
        self._roots: dict[int, bool] = {}
        wanted = f'"run_id":"{only}"'.encode() if only else b""
        self._read_entries(line for line in self.lines if wanted in line)

    def _read_entries(self, lines: Iterable[bytes]) -> None:
        """Sort the entries by what they are about; one that is not as its kind should be is a fault and no more."""
        self.entries = []
        for line in lines:
            try:
                entry = parse_line(line)
            except ValueError as error:
                self.faults.append(Fault(where="ledger.jsonl", what=f"has an entry that is {error}"))
                continue
            if fault := misshapen(entry):
                self.faults.append(Fault(where=f"ledger.jsonl entry {entry.seq}", what=fault))
            else:
                self.entries.append(entry)
        self.results = {str(entry.run_id): entry for entry in self.entries if entry.kind == EntryKind.RESULT}
        self.tombstones: dict[str, list[Entry]] = {}
        for entry in self.entries:
            if entry.kind == EntryKind.TOMBSTONE:
                self.tombstones.setdefault(str(entry.run_id), []).append(entry)

    def whole(self) -> Verification:
        self._look_at_heads()
        self.faults += _pairing_faults(self.entries, self.results, self.waiting)
        self.faults += _repetitions(self.entries, map(parse_line, self.behind))
        for entry in self.results.values():
            self.faults += self._record_faults(entry)
        self.faults += self._stray_faults()
        self._look_at_signed_roots()
        for entry in self.entries:
            if entry.kind == EntryKind.RESTORED:
                reason = entry.body.get("reason")
                self.notes.append(
                    f"{entry.who} went on without what was lost at {entry.at}, entry {entry.seq}: {reason}"
                )
        return self._verified(len(self.results))

    def one(self, folder: Path) -> Verification:
        self._look_at_heads()
        if folder.name in self.results:
            self.faults += self._record_faults(self.results[folder.name])
        elif folder.exists():
            self.faults.append(Fault(where=self._relative(folder), what="is a record that the ledger does not know"))
        self._look_at_signed_roots()
        return self._verified(1)

    def of_runs(self, run_ids: set[str]) -> list[Fault]:
        """The faults of some runs only."""
        others = [*_pairing_faults(self.entries, self.results, self.waiting), *self._stray_faults()]
        found = [fault for fault in others if run_of(fault) in run_ids]
        for run_id in run_ids & self.results.keys():
            found += self._record_faults(self.results[run_id])
        return found

    def _verified(self, records: int) -> Verification:
        gone = [run_id for run_id, entries in self.tombstones.items() if pruned(entries)]
        return Verification(
            entries=self.tree.size, records=records - len(gone), faults=tuple(self.faults),
            unfinished=tuple(self.waiting), pruned=tuple(gone),
            redacted=tuple(run_id for run_id in self.tombstones if run_id not in gone), notes=tuple(self.notes),
        )  # fmt: skip

    # Heads and keys.

    def _read_head(self) -> Head | None:
        try:
            return Ledger(self.root).heads.read()
        except ValueError as error:
            self.faults.append(Fault(where=HEAD, what=f"was changed: it is {error}"))
            return None

    def _covered(self, lines: Sequence[bytes]) -> int:
        """How many lines count. Without a head that can be read all of them do, so that what else is wrong is named."""
        beyond = len(lines) - (self.head.checkpoint.size if self.head else 0)
        if 0 < beyond <= MOST_UNACKNOWLEDGED and (self.head or not (self.root / "records").is_dir()):
            self.notes.append(f"{beyond} entries stand behind the signed head: they were never acknowledged")
            return len(lines) - beyond
        if not self.head and lines and not self.faults:
            self.faults.append(Fault(where=HEAD, what="is missing"))
        if not self.head or beyond <= 0:
            return len(lines)
        what = f"and the {beyond - 1} after it were added behind the signed head"
        self.faults.append(Fault(where=f"ledger.jsonl entry {len(lines) - beyond}", what=what))
        return len(lines) - beyond

    def _keys(self) -> Sequence[VerifierKey]:
        """The keys that count. Those of the archive are looked at in any case, since a reader relies on them."""
        lying: Sequence[VerifierKey] = ()
        try:
            lying = Ledger(self.root).heads.public()
            if self.head and not lying:
                self.faults.append(Fault(where=PUBLIC, what="is missing"))
        except BadInput as error:
            self.faults.append(Fault(where=PUBLIC, what=f"was changed: {error.message}"))
        if self.trust.given:
            return self.trust.given
        own = self.trust.own.own(self.origin) if self.trust.own and self.origin else None
        if own is None or own not in lying:
            self.notes.append("signatures were checked with the key of the archive itself: give --key for more")
        elif len(lying) > 1:
            others = f"{len(lying) - 1} more of {PUBLIC} count"
            self.notes.append(f"besides your key {others}: give --key to count only those that you name")
        return [*lying, own] if own and own not in lying else lying

    def _look_at_heads(self) -> None:
        ledger = Ledger(self.root)
        if ledger.path.exists() and ledger.path.read_bytes()[-1:] not in (b"", b"\n"):
            self.notes.append("the ledger ends in an unfinished line, which was never acknowledged")
        last = {"the head that was signed last here": self.last} if self.last else {}
        heads = {**({HEAD: self.head} if self.head else {}), **self.trust.kept, **last}
        for name, head in heads.items():
            self.faults += self._head_faults(name, head)

    def _head_faults(self, name: str, head: Head) -> Iterator[Fault]:
        old, size = head.checkpoint, self.tree.size
        keys = [*self.keys, *self._own(old.origin)] if head is self.last else self.keys
        if (len(head.signatures) != 1 and name == HEAD) or signer_of(head, keys) is None:
            yield Fault(where=name, what="is not signed by a key that counts")
        elif old.size > size:
            yield Fault(where=name, what=f"covers {old.size} entries, and the ledger has {size}: its end was cut off")
        elif old.origin != self.origin:
            yield Fault(where=name, what=f"is of another ledger: {old.origin}, and this one is {self.origin}")
        else:
            self._roots[old.size] = extends(
                old.root, old.size, self.tree.root(size), size, self.tree.consistency(old.size, size)
            )  # fmt: skip
            if not self._roots[old.size]:
                yield Fault(where=name, what=f"was signed over {old.size} other entries than the ledger begins with")

    def _own(self, origin: str) -> Sequence[VerifierKey]:
        own = self.trust.own.own(origin) if self.trust.own else None
        return [own] if own else []

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
        records = Records(self.root)
        for folder in records.newest_first():
            if folder.name not in self.results:
                yield Fault(where=self._relative(folder), what="is a record that the ledger does not know")
            elif folder != self.folder_of(folder.name):
                yield Fault(where=self._relative(folder), what="is not where it belongs")
        for path in records.strangers():
            yield Fault(where=self._relative(path), what="was added")

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


def _repetitions(entries: Iterable[Entry], behind: Iterable[Entry]) -> Iterator[Fault]:
    """What stands behind the head and says once more what is said already: no kill leaves that."""
    known = {(entry.run_id, entry.kind) for entry in entries if entry.kind in (EntryKind.INTENT, EntryKind.RESULT)}
    for entry in behind:
        if (entry.run_id, entry.kind) in known:
            yield Fault(where=f"ledger.jsonl entry {entry.seq}", what=f"repeats the {entry.kind} of {entry.run_id}")
