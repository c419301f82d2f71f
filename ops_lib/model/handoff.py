"""A handoff: what one team tells another, as the handbook writes it, and how its reading refuses what does not fit.

    trigger: database_migration_complete      what happened; one that is known says what its context holds
    from: devops                              the teams; those of a known trigger where nothing else is said
    to: etl
    context:                                  a list of one-key mappings, or a mapping
      - breaking_changes: false
    action_required: [Update the schemas]     also `request` and `impact`: a list of texts, or one
    revert: [...]                             the way back, where there is one
    urgency: low|medium|high
    timeline: until the next window

The canonical form is JSON in this order, with the context as a mapping and without what was not said.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final

from ops_lib.model.context import Reader, canonical_context
from ops_lib.model.errors import BadInput
from ops_lib.model.ledger import canonical, sha256
from ops_lib.model.place import Lines
from ops_lib.model.triggers import TRIGGERS

LONGEST: Final = 64_000
LISTS: Final = ("action_required", "request", "impact", "revert")
NAMED: Final = ("id", "trigger", "from", "to", "sha256")
"""What the ledger says of a handoff; its message stands in the record of its run, where it can be redacted."""

FIELDS: Final = ("trigger", "from", "to", "context", *LISTS, "urgency", "timeline")
_TRIGGER = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Urgency(StrEnum):
    """How soon somebody has to act."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff:
    """A message to another team. `sender` and `recipient` are `from` and `to`, which are no names in Python."""

    trigger: str
    sender: str | None = None
    recipient: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    action_required: tuple[str, ...] = ()
    request: tuple[str, ...] = ()
    impact: tuple[str, ...] = ()
    revert: tuple[str, ...] = ()
    urgency: Urgency | None = None
    timeline: str | None = None

    @property
    def known(self) -> bool:
        """Whether the teams have agreed on what its context holds."""
        return self.trigger in TRIGGERS

    def to_json(self) -> dict[str, Any]:
        """The canonical form."""
        said = {
            "trigger": self.trigger, "from": self.sender, "to": self.recipient, "context": dict(self.context),
            **{name: list(getattr(self, name)) for name in LISTS},
            "urgency": self.urgency.value if self.urgency else None, "timeline": self.timeline,
        }  # fmt: skip
        return {name: value for name, value in said.items() if value not in (None, [], {})}

    def addressed(self, sender: str | None, recipient: str | None = None) -> "Handoff":
        """The same handoff between teams that are known; `recipient` goes before what it says itself.

        BadInput where nobody says who sends it, or to whom it goes.
        """
        agreed = TRIGGERS.get(self.trigger)
        to = recipient or self.recipient or (agreed.recipient if agreed else None)
        by = self.sender or sender or (agreed.sender if agreed else None)
        if not to:
            raise BadInput(f"handoff {self.trigger} does not say to whom it goes", hint="write to: TEAM")
        if not by:
            raise BadInput(f"handoff {self.trigger} does not say who sends it", hint="write from: TEAM")
        return replace(self, sender=by, recipient=to)


def read_handoff(value: Any, lines: Lines | None = None, *, name: str = "handoff") -> Handoff:
    """The handoff that a document holds; BadInput names it, the line where there are lines, and the field.

    >>> read_handoff({"trigger": "backup_moved", "context": [{"place": "s3"}], "request": "Look"}).to_json()
    {'trigger': 'backup_moved', 'context': {'place': 's3'}, 'request': ['Look']}
    >>> read_handoff({"trigger": "backup_moved", "urgency": "now"})
    Traceback (most recent call last):
    ops_lib.model.errors.BadInput: handoff: urgency is 'now', expected low, medium or high
    """
    reader = Reader(lines or {}, name)
    told = reader.fields(value, FIELDS, required=("trigger",))
    trigger = reader.text(told["trigger"], ("trigger",))
    if not _TRIGGER.fullmatch(trigger):
        raise reader.wrong(("trigger",), trigger, "a word such as database_migration_complete")
    read = Handoff(
        trigger=trigger,
        sender=reader.team(told.get("from"), ("from",)),
        recipient=reader.team(told.get("to"), ("to",)),
        context=canonical_context(reader, trigger, told.get("context")),
        urgency=Urgency(reader.level(told["urgency"], ("urgency",))) if "urgency" in told else None,
        timeline=reader.optional_text(told.get("timeline"), ("timeline",)),
        **{name: reader.texts_or_one(told.get(name), (name,)) for name in LISTS},
    )
    if len(canonical(read.to_json())) > LONGEST:
        raise BadInput(f"{name}: longer than {LONGEST} bytes", hint="attach what is long, and name it")
    return read


def digest(message: Mapping[str, Any]) -> str:
    """The digest of a message in its canonical form."""
    return sha256(canonical(message))


def handoff_id(origin: str, trigger: str, to: str, place: int) -> str:
    """The id of a handoff: the same for the same place in the same chain of runs, however often that is resumed.

    `origin` is the first run of the chain, and `place` counts the handoffs of one trigger to one team from 0.

    >>> handoff_id("01KDVDNA000000000000000000", "backup_moved", "etl", 0)
    'HJB5K0F2V2MQD'
    """
    named = canonical([origin, trigger, to, place])
    number = int.from_bytes(blake2b(named, digest_size=8).digest())
    return "H" + "".join(_ALPHABET[number >> shift & 31] for shift in range(55, -1, -5))
