"""Approvals: a person's yes to one plan on one target until a time, and when that is enough for a run to go on.

What is approved is a digest over the terms of the run: the digest of its runbook, its parameters, the identity of its
target, and the plan. Whatever of it changes gives another digest, for which nobody has said yes. Time only ever takes
an approval away.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from ops_lib.model.errors import BadInput
from ops_lib.model.ledger import canonical, sha256
from ops_lib.model.plan import Plan
from ops_lib.model.target import Target

VALID: Final = timedelta(hours=8)
"""How long an approval holds where nothing else is said, and a broken glass in any case."""

LONGEST: Final = timedelta(days=7)
LONGEST_STANDING: Final = timedelta(days=366)


class Kind(StrEnum):
    """How somebody has said yes."""

    ONCE = "once"
    STANDING = "standing"
    BREAK_GLASS = "break-glass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a target demands before a step may begin: how many people's approval, and whether they sign it."""

    approvals: int = 0
    signed: bool = False


def demand_of(target: Target, named: Mapping[str, Target]) -> Demand:
    """What a target demands; one that is not named in targets.yaml as much as the strictest that is.

    A connection string may lead to a database that has a name: it is no way around what is demanded there.

    >>> demand_of(Target(name="prod", service="prod", production=True), {})
    Demand(approvals=1, signed=True)
    """
    if target.name in named and named[target.name] == target:
        return _own_demand(target)
    demands = [_own_demand(target), *map(_own_demand, named.values())]
    return Demand(approvals=max(d.approvals for d in demands), signed=any(d.signed for d in demands))


def _own_demand(target: Target) -> Demand:
    return Demand(approvals=target.approvals or int(target.production), signed=target.production)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an approval is about. `target` is name, system identifier and database; parameters are as recorded."""

    runbook: str
    parameters: Mapping[str, Any]
    target: Mapping[str, Any]
    plan: Plan

    def digest(self, without: Iterable[str] = ()) -> str:
        """The digest of these terms; `without` are parameters that a standing approval leaves open within bounds."""
        left_open = sorted(without)
        fixed = {name: value for name, value in self.parameters.items() if name not in left_open}
        terms = {"runbook": self.runbook, "parameters": fixed, "target": identity_of(self.target)}
        return sha256(canonical({**terms, "plan": self.plan.to_json(), "open": left_open}))


def identity_of(target: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a target of a record that target."""
    return {name: target.get(name) for name in ("name", "system_identifier", "database")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a standing approval allows of one parameter: a range of numbers, or some values."""

    least: float | None = None
    most: float | None = None
    one_of: tuple[Any, ...] = ()

    def holds(self, value: Any) -> bool:
        if self.one_of:
            return any(type(value) is type(allowed) and value == allowed for allowed in self.one_of)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def to_json(self) -> dict[str, Any]:
        return {"least": self.least, "most": self.most, "one_of": list(self.one_of)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Bound":
        return cls(least=data["least"], most=data["most"], one_of=tuple(data["one_of"]))


def bound_from(text: str, now: Any) -> Bound:
    """The bound that a text such as `1..9` or `staging,mart` means, for a parameter whose value is `now`.

    >>> bound_from("1..9", 3)
    Bound(least=1.0, most=9.0, one_of=())
    >>> bound_from("a,b", "a").one_of
    ('a', 'b')
    """
    least, dots, most = text.partition("..")
    try:
        if dots and isinstance(now, int | float) and not isinstance(now, bool):
            return Bound(least=float(least) if least else None, most=float(most) if most else None)
    except ValueError:
        raise BadInput(f"{text!r} is no bound", hint="write 1..9, or a list such as staging,mart") from None
    if dots or not isinstance(now, str) or not all(text.split(",")):
        raise BadInput(f"{text!r} is no bound", hint="write 1..9 for a number, or a list such as staging,mart for text")
    return Bound(one_of=tuple(text.split(",")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Somebody's yes, as it stands in the ledger. `signed` is whether its signature was verified just now."""

    digest: str
    who: str
    how_known: str
    at: datetime
    expires_at: datetime
    kind: Kind
    run_id: str
    signed: bool = False
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    reason: str | None = None


def statement(
    *, kind: Kind, digest: str, run_id: str, who: str, expires_at: str, bounds: Mapping[str, Bound]
) -> dict[str, Any]:
    """What somebody says who approves: the body of the entry, and what is signed in its canonical form."""
    told = {name: bound.to_json() for name, bound in bounds.items()}
    return {
        "kind": kind.value, "digest": digest, "run_id": run_id, "who": who, "expires_at": expires_at, "bounds": told,
    }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A run that asks at its gate: its terms, what the target demands, who asked for it, and the runs it belongs to."""

    terms: Terms
    demand: Demand
    requesters: frozenset[str]
    runs: frozenset[str]


def counting(asking: Asking, approvals: Sequence[Approval], now: datetime) -> list[Approval]:
    """The approvals that count for a run now, at most one of each person; a broken glass is none."""
    yes = (a for a in approvals if a.kind is not Kind.BREAK_GLASS and _may(a, asking))
    return list({a.who: a for a in yes if _holds(a, asking, now)}.values())


def granted(asking: Asking, approvals: Sequence[Approval], now: datetime) -> tuple[Approval, ...] | None:
    """The approvals that let a run go on now, or nothing where it has to wait."""
    if asking.demand.approvals == 0:
        return ()
    broken = [approval for approval in approvals if approval.kind is Kind.BREAK_GLASS]
    for approval in reversed(broken):
        if _holds(approval, asking, now):
            return (approval,)
    count = counting(asking, approvals, now)
    return tuple(count) if len(count) >= asking.demand.approvals else None


def _holds(approval: Approval, asking: Asking, now: datetime) -> bool:
    return now < approval.expires_at and _covers(approval, asking)


def _covers(approval: Approval, asking: Asking) -> bool:
    """Whether a yes is to these terms. A standing one covers later runs; any other belongs to the run that asked."""
    if approval.kind is not Kind.STANDING:
        return approval.run_id in asking.runs and approval.digest == asking.terms.digest()
    given = asking.terms.parameters
    inside = all(name in given and bound.holds(given[name]) for name, bound in approval.bounds.items())
    return inside and approval.digest == asking.terms.digest(approval.bounds)


def _may(approval: Approval, asking: Asking) -> bool:
    """Whether this person's yes counts here."""
    own = asking.demand.approvals > 1 and approval.who in asking.requesters
    return not own and (approval.signed or not asking.demand.signed)


def broke_glass(approvals: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of a record's approvals was none."""
    return any(approval.get("kind") == Kind.BREAK_GLASS for approval in approvals)


def expiry(now: datetime, length: timedelta | None, kind: Kind) -> datetime:
    """When an approval that is given now stops to hold."""
    longest = LONGEST_STANDING if kind is Kind.STANDING else LONGEST
    wanted = VALID if length is None else length
    if not timedelta(0) < wanted <= longest:
        raise BadInput(f"an approval holds for at most {longest.days} days", hint="give a shorter time, such as 8h")
    return now + wanted
