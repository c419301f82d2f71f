"""The ledger's entries and the chain that binds them.

An entry is one line of canonical JSON: sorted keys, no spaces, UTF-8. `body_sha256` is the digest of the body in that
form and `prev_sha256` that of the whole line before it, without its newline, so that a change, a removal or a swap
anywhere breaks the chain at that place.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

GENESIS = "0" * 64


class EntryKind(StrEnum):
    """What happened."""

    INTENT = "intent"
    RESULT = "result"
    TORN = "torn"
    TOMBSTONE = "tombstone"
    RESTORED = "restored"
    APPROVAL = "approval"
    BREAK_GLASS = "break-glass"
    DECLINE = "decline"
    REVIEW = "review"
    HANDOFF = "handoff"
    ACKNOWLEDGEMENT = "acknowledgement"
    REJECTION = "rejection"
    SCHEDULED = "scheduled"
    UNSCHEDULED = "unscheduled"
    MISSED = "missed"


def canonical(value: Any) -> bytes:
    """The one form of a JSON value that digests are taken of.

    >>> canonical({"b": 1, "a": "é"})
    b'{"a":"\\xc3\\xa9","b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256(content: bytes) -> str:
    """A digest as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened, in its place in the chain."""

    seq: int
    at: str
    kind: str
    run_id: str | None
    who: str
    body: Mapping[str, Any]
    body_sha256: str
    prev_sha256: str

    @classmethod
    def after(
        cls,
        previous: bytes | None,
        *,
        seq: int,
        at: str,
        kind: EntryKind,
        run_id: str | None,
        who: str,
        body: Mapping[str, Any],
    ) -> "Entry":
        """The entry that follows the line `previous`, or the first one where there is none."""
        return cls(
            seq=seq, at=at, kind=kind.value, run_id=run_id, who=who, body=body,
            body_sha256=sha256(canonical(body)), prev_sha256=sha256(previous) if previous is not None else GENESIS,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {
            "seq": self.seq, "at": self.at, "kind": self.kind, "run_id": self.run_id, "who": self.who,
            "body": dict(self.body), "body_sha256": self.body_sha256, "prev_sha256": self.prev_sha256,
        }  # fmt: skip

    def line(self) -> bytes:
        """The entry as it stands in the file, without the newline."""
        return canonical(self.to_json())


def parse_line(line: bytes) -> Entry:
    """The entry that a line holds; ValueError where it holds none, or not in canonical form."""
    try:
        entry = Entry(**json.loads(line))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"not an entry: {error}") from None
    if not _well_typed(entry):
        raise ValueError("not an entry: something in it is of another type")
    if entry.line() != line:
        raise ValueError("not in canonical form")
    return entry


def _well_typed(entry: Entry) -> bool:
    texts = (entry.at, entry.kind, entry.who, entry.body_sha256, entry.prev_sha256, entry.run_id or "")
    return type(entry.seq) is int and isinstance(entry.body, dict) and all(isinstance(text, str) for text in texts)


def first_break(lines: Iterable[bytes]) -> tuple[int, str] | None:
    """The first place at which lines are no chain: its sequence number (from 0) and what is wrong there.

    >>> first_break([]) is None
    True
    >>> first_break([b"{}"])
    (0, "is not an entry: Entry.__init__() missing 8 required keyword-only arguments: 'seq', 'at', 'kind', 'run_id', 'who', 'body', 'body_sha256', and 'prev_sha256'")
    """  # noqa: E501
    previous: bytes | None = None
    for seq, line in enumerate(lines):
        fault = _fault(line, seq, previous)
        if fault:
            return seq, fault
        previous = line
    return None


def _fault(line: bytes, seq: int, previous: bytes | None) -> str | None:
    try:
        entry = parse_line(line)
    except ValueError as error:
        return f"is {error}" if str(error).startswith("not") else f"is not JSON: {error}"
    if entry.seq != seq:
        return f"says that it is number {entry.seq}"
    if entry.body_sha256 != sha256(canonical(entry.body)):
        return "has a body that does not fit its digest"
    if entry.prev_sha256 != (sha256(previous) if previous is not None else GENESIS):
        return "does not follow the entry before it"
    return None
