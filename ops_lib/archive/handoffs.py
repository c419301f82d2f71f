"""Handoffs as the ledger knows them: since when one is owed, to whom, and who closed it how."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ops_lib.archive.ledger import Ledger
from ops_lib.model.entries import understood
from ops_lib.model.errors import DoesNotVerify
from ops_lib.model.ledger import Entry, EntryKind

_MARK = re.compile(rb'"handoffs":\[\{|"kind":"(?:handoff|acknowledgement|rejection)"')
"""What a line holds that says something of a handoff; results without one are most of a ledger, and are passed over."""

_STATES = {EntryKind.ACKNOWLEDGEMENT: "acknowledged", EntryKind.REJECTION: "rejected"}
_KINDS = (EntryKind.RESULT, EntryKind.HANDOFF, *_STATES)
OWED = "owed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A handoff and how it stands: `owed`, `acknowledged` or `rejected`.

    One that a run made names the run, in whose record its message is. One that somebody brought in has its message
    with it, and why. `closed` is the entry that closed it.
    """

    id: str
    trigger: str
    sender: str
    recipient: str
    sha256: str
    since: str
    who: str
    run_id: str | None = None
    message: Mapping[str, Any] | None = None
    reason: str | None = None
    state: str = OWED
    closed: Entry | None = None

    @property
    def owed(self) -> bool:
        return self.closed is None

    def to_json(self) -> dict[str, Any]:
        """As a program is told of it; its message is asked for by itself."""
        closed = self.closed and {
            "at": self.closed.at, "who": self.closed.who, "how_known": self.closed.body["how_known"],
            "text": self.closed.body.get("text"),
        }  # fmt: skip
        return {
            "id": self.id, "trigger": self.trigger, "from": self.sender, "to": self.recipient, "state": self.state,
            "since": self.since, "who": self.who, "run_id": self.run_id, "reason": self.reason, "sha256": self.sha256,
            "closed": closed,
        }  # fmt: skip


def handoffs(ledger: Ledger) -> dict[str, Standing]:
    """Every handoff by its id, in the order in which they came to be owed; the first word that closes one counts."""
    found: dict[str, Standing] = {}
    for entry in _entries(ledger):
        if entry.kind in _STATES:
            _close(found, entry)
        else:
            made = entry.body.get("handoffs", ()) if entry.kind == EntryKind.RESULT else [entry.body]
            for item in made:
                found.setdefault(item["id"], _opened(entry, item))
    return found


def _entries(ledger: Ledger) -> Iterator[Entry]:
    for number, line in enumerate(ledger.signed_lines()):
        if _MARK.search(line):
            try:
                entry = understood(line)
            except ValueError as error:
                raise DoesNotVerify(f"{ledger.path} entry {number}: {error}", hint="see `runbook verify`") from None
            if entry.kind in _KINDS:
                yield entry


def _opened(entry: Entry, item: Mapping[str, Any]) -> Standing:
    brought_in = entry.kind == EntryKind.HANDOFF
    return Standing(
        id=item["id"],
        trigger=item["trigger"],
        sender=item["from"],
        recipient=item["to"],
        sha256=item["sha256"],
        since=entry.at,
        who=entry.who,
        run_id=None if brought_in else entry.run_id,
        message=item["message"] if brought_in else None,
        reason=item.get("reason"),
    )


def _close(found: dict[str, Standing], entry: Entry) -> None:
    standing = found.get(entry.body["id"])
    if standing and standing.owed:
        found[standing.id] = replace(standing, state=_STATES[EntryKind(entry.kind)], closed=entry)
