"""Approvals, broken glasses and reviews as entries of the ledger."""

from collections.abc import Iterator, Mapping
from typing import Any

from ops_lib.archive.ledger import Ledger
from ops_lib.archive.signatures import verifies
from ops_lib.model.approval import Approval, Bound, Kind, statement
from ops_lib.model.entries import misshapen
from ops_lib.model.ledger import Entry, EntryKind, canonical, parse_line
from ops_lib.model.people import Person
from ops_lib.model.times import parse_instant

_YES = (EntryKind.APPROVAL, EntryKind.BREAK_GLASS)


def entries_of(ledger: Ledger, *kinds: EntryKind) -> Iterator[Entry]:
    """The entries of some kinds that a signed head covers, in order; nothing else was ever said."""
    marks = [f'"kind":"{kind.value}"'.encode() for kind in kinds]
    for line in ledger.signed_lines():
        if any(mark in line for mark in marks):
            entry = parse_line(line)
            if entry.kind in kinds and misshapen(entry) is None:
                yield entry


def approvals_for(ledger: Ledger, runs: frozenset[str], people: Mapping[str, Person]) -> list[Approval]:
    """Every yes that could be to one of these runs, in order; standing ones are not bound to any."""
    entries = entries_of(ledger, *_YES)
    wanted = (e for e in entries if e.run_id in runs or e.body.get("kind") == Kind.STANDING)
    return [_approval(entry, people) for entry in wanted]


def _approval(entry: Entry, people: Mapping[str, Person]) -> Approval:
    body = entry.body
    return Approval(
        digest=body["digest"],
        who=entry.who,
        how_known=body["how_known"],
        at=parse_instant(entry.at),
        expires_at=parse_instant(body["expires_at"]),
        kind=Kind(body["kind"]),
        run_id=str(entry.run_id),
        signed=_signed(entry, people),
        bounds={name: Bound.from_json(bound) for name, bound in body["bounds"].items()},
        reason=body.get("reason"),
    )


def _signed(entry: Entry, people: Mapping[str, Person]) -> bool:
    """Whether the person whose name the entry has said exactly this, by a key that is theirs today."""
    signature, person = entry.body.get("signature"), people.get(entry.who)
    return bool(signature and person and verifies(canonical(said_in(entry)), signature, person))


def said_in(entry: Entry) -> dict[str, Any]:
    """What was signed, put together from the entry itself."""
    body = entry.body
    return statement(
        kind=Kind(body["kind"]), digest=body["digest"], run_id=str(entry.run_id), who=entry.who,
        expires_at=body["expires_at"], bounds={name: Bound.from_json(b) for name, b in body["bounds"].items()},
    )  # fmt: skip


def owed_reviews(ledger: Ledger) -> dict[str, list[Entry]]:
    """The runs that broke the glass and were not reviewed since, with their entries."""
    owed: dict[str, list[Entry]] = {}
    for entry in entries_of(ledger, EntryKind.BREAK_GLASS, EntryKind.REVIEW):
        if entry.kind == EntryKind.REVIEW:
            owed.pop(str(entry.run_id), None)
        else:
            owed.setdefault(str(entry.run_id), []).append(entry)
    return owed
