"""What waits for people: runs whose plan somebody has to approve, and broken glasses that somebody has to review."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ops_lib.archive.approvals import approvals_for, owed_reviews
from ops_lib.archive.chains import journal_of, past_of
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.staging import unfinished
from ops_lib.model.approval import Approval, Asking, counting
from ops_lib.model.errors import BadInput, DoesNotVerify, OpsError
from ops_lib.model.journal import waits
from ops_lib.model.ledger import Entry, EntryKind
from ops_lib.operations.desk import Desk
from ops_lib.operations.gate import asking_of, last_asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A run that waits: what it asks, since when, who asked for it, and whose yes it has already."""

    run_id: str
    runbook: str
    title: str
    hazard: str
    since: str
    who: str
    reason: str | None
    asking: Asking
    digest: str
    approvals: tuple[Approval, ...]
    steps_done: tuple[str, ...]

    @property
    def missing(self) -> int:
        """How many people have to say yes yet."""
        return max(self.asking.demand.approvals - len(self.approvals), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A run that broke the glass and is owed a review."""

    run_id: str
    who: str
    at: str
    reason: str


def all_waiting(desk: Desk) -> list[Waiting]:
    """Every run that waits, the oldest first; one that cannot be shown is warned of, and hides no other."""
    return [found for run_id in unfinished(desk.archive) if (found := _shown(desk, run_id))]


def _shown(desk: Desk, run_id: str) -> Waiting | None:
    try:
        return _of(desk, run_id)
    except OpsError as error:
        desk.warn(f"run {run_id} cannot be shown: {error}")
        return None


def waiting(desk: Desk, text: str) -> Waiting:
    """The waiting run that a text names, by its id or the end of one; BadInput where there is none."""
    found = [item for item in all_waiting(desk) if item.run_id.endswith(text.upper())] if text else []
    if len(found) != 1:
        raise BadInput(f"no single waiting run is named {text!r}", hint="see: runbook waiting")
    return found[0]


def _of(desk: Desk, run_id: str) -> Waiting | None:
    events = [*journal_of(desk.archive, run_id)]
    asked = last_asked(events)
    if not waits(events) or asked is None:
        return None
    opened, past = events[0], past_of(desk.archive, events[0].get("resumes"), events)
    asking = asking_of(desk, events, past, asked["plan"])
    if asking.terms.digest() != asked["digest"]:
        raise DoesNotVerify(f"run {run_id} asks for another plan than it shows", hint="its journal was changed")
    ledger = Ledger(desk.archive, desk.keys)
    _check_intent(ledger.of_run(run_id, EntryKind.INTENT), opened)
    found = approvals_for(ledger, asking.runs, desk.people)
    return Waiting(
        run_id=run_id,
        runbook=opened["runbook"]["id"],
        title=opened["runbook"]["title"],
        hazard=opened["runbook"]["hazard"],
        since=asked["at"],
        who=opened["cause"]["who"],
        reason=opened["reason"],
        asking=asking,
        digest=asked["digest"],
        approvals=tuple(counting(asking, found, desk.clock())),
        steps_done=tuple(name for name, prior in past.steps.items() if prior.status == "done"),
    )


def _check_intent(intent: Entry | None, opened: Mapping[str, Any]) -> None:
    """What a run asks for is what the signed ledger says that it was begun for."""
    if intent is None or any(intent.body.get(name) != opened[name] for name in ("runbook", "parameters", "cause")):
        raise DoesNotVerify(f"run {opened['run_id']} was not begun as it says", hint="see: runbook verify")


def owed(desk: Desk) -> Iterator[Owed]:
    """Every broken glass that nobody has reviewed."""
    for run_id, entries in owed_reviews(Ledger(desk.archive, desk.keys)).items():
        entry = entries[-1]
        yield Owed(run_id=run_id, who=entry.who, at=entry.at, reason=str(entry.body.get("reason")))


def waiting_json(found: Waiting) -> dict[str, Any]:
    """A waiting run as JSON."""
    terms = found.asking.terms
    return {
        "run_id": found.run_id, "state": "waiting", "runbook": found.runbook, "hazard": found.hazard,
        "target": dict(terms.target), "parameters": dict(terms.parameters), "since": found.since, "who": found.who,
        "reason": found.reason, "digest": found.digest, "plan": terms.plan.to_json(),
        "approvals": [approval.who for approval in found.approvals], "missing": found.missing,
        "steps_done": list(found.steps_done),
    }  # fmt: skip
