"""proof.json: what shows, without the ledger, that a record is what the ledger says.

It holds the entries that concern the record (its result, then the redactions of it), what leads from each to the root
of a signed head, and that head.
"""

import json
from dataclasses import dataclass
from typing import Self

from ops_lib.model.checkpoint import Head, decode, encode
from ops_lib.model.ledger import Entry, EntryKind, canonical, parse_line, sha256
from ops_lib.model.merkle import includes, leaf_hash

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Entries of one run, each with its inclusion proof, and the head that covers them."""

    head: Head
    entries: tuple[Entry, ...]
    inclusions: tuple[tuple[bytes, ...], ...]

    def to_bytes(self) -> bytes:
        """The one form in which a proof is stored."""
        proven = [
            {"entry": entry.to_json(), "inclusion": [encode(item) for item in inclusion]}
            for entry, inclusion in zip(self.entries, self.inclusions, strict=True)
        ]
        return canonical({"schema": SCHEMA, "entries": proven, "head": self.head.text()}) + b"\n"

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """The proof that a file holds; ValueError where it is not one in the form in which we store it."""
        try:
            document = json.loads(content)
            proof = cls(
                head=Head.parse(document["head"]),
                entries=tuple(parse_line(canonical(item["entry"])) for item in document["entries"]),
                inclusions=tuple(tuple(map(decode, item["inclusion"])) for item in document["entries"]),
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"it lacks something: {error}") from None
        if proof.to_bytes() != content:
            raise ValueError("it is not in the form in which it was stored")
        return proof

    def fault(self) -> str | None:
        """What does not hold in the proof by itself; the signature of its head is for others to check."""
        if not self.entries or self.entries[0].kind != EntryKind.RESULT:
            return "does not begin with the result of a run"
        if any(not _follows(entry, self.entries[0]) for entry in self.entries[1:]):
            return "holds an entry that does not belong to this run"
        if any(entry.body_sha256 != sha256(canonical(entry.body)) for entry in self.entries):
            return "holds an entry whose body does not fit its digest"
        return None if self._included() else "does not lead from its entries to its head"

    def _included(self) -> bool:
        root, size = self.head.checkpoint.root, self.head.checkpoint.size
        pairs = zip(self.entries, self.inclusions, strict=True)
        return all(includes(root, size, entry.seq, leaf_hash(entry.line()), path) for entry, path in pairs)


def _follows(entry: Entry, result: Entry) -> bool:
    return entry.kind == EntryKind.TOMBSTONE and entry.run_id == result.run_id and entry.seq > result.seq
