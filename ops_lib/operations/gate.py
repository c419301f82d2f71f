"""The gate of a run: what its target demands before a step may begin, and whether it was given."""

from collections.abc import Callable, Mapping
from typing import Any

from ops_lib.archive.approvals import approvals_for
from ops_lib.archive.ledger import Ledger
from ops_lib.model.approval import (
    Approval,
    Asking,
    Demand,
    Kind,
    Terms,
    counting,
    demand_of,
    expiry,
    granted,
    statement,
)  # fmt: skip
from ops_lib.model.errors import Refused, WaitsForApproval
from ops_lib.model.journal import Event
from ops_lib.model.ledger import EntryKind
from ops_lib.model.people import names_of
from ops_lib.model.plan import plan_from
from ops_lib.model.step import NO_PAST, Past
from ops_lib.model.target import Target
from ops_lib.model.times import format_instant
from ops_lib.operations.desk import Desk
from ops_lib.operations.steps import Scribe


class Gate:
    """Asked by the word `approved`, and by every step. It opens for what was approved, and only in this pass."""

    def __init__(self, scribe: Scribe, desk: Desk) -> None:
        self.past: Past = NO_PAST
        self.break_glass: str | None = None
        self.passed = False
        self.waits = False
        self._scribe = scribe
        self._desk = desk

    @property
    def answers(self) -> Mapping[str, Callable[..., Any]]:
        return {"approved": self.ask}

    def require(self, step: str) -> None:
        """Refused where the target demands an approval that this run does not have."""
        demand = self._demand()
        if demand.approvals and not self.passed:
            raise Refused(
                f"step {step!r} was not begun: its target demands {_people(demand.approvals)}, and there is none",
                hint="say approved(plan) in a cell before the step",
            )

    def ask(self, plan: Any) -> dict[str, Any]:
        """Open for a plan that was approved; otherwise the run waits."""
        with self._scribe.turn:
            found = plan_from(self._scribe.redactor.json(plan))
            asking = asking_of(self._desk, self._scribe.staging.events, self.past, found.to_json())
            if self.break_glass is not None and asking.demand.approvals:
                break_glass(self._desk, self._scribe.staging.run_id, asking, self.break_glass)
            approvals = approvals_for(Ledger(self._desk.archive, self._desk.keys), asking.runs, self._desk.people)
            given = granted(asking, approvals, self._desk.clock())
            if given is None:
                self._wait(asking, len(counting(asking, approvals, self._desk.clock())))
            return self._open(asking, given or ())

    def _open(self, asking: Asking, given: tuple[Approval, ...]) -> dict[str, Any]:
        self.passed, self.waits = True, False
        told = [approval_json(approval) for approval in given]
        event = {"kind": "approved", "digest": asking.terms.digest(), "plan": asking.terms.plan.to_json()}
        self._scribe.write({**event, "approvals": told}, durable=True)
        return {"digest": asking.terms.digest(), "demand": asking.demand.approvals, "approvals": told}

    def _wait(self, asking: Asking, count: int) -> None:
        self.passed, self.waits = False, True
        digest, run_id = asking.terms.digest(), self._scribe.staging.run_id
        event = {"kind": "asked", "digest": digest, "plan": asking.terms.plan.to_json()}
        self._scribe.write({**event, "demand": asking.demand.approvals, "signed": asking.demand.signed}, durable=True)
        raise WaitsForApproval(
            f"the target demands {_people(asking.demand.approvals)} of this plan, {digest[:12]}, and has {count}",
            hint=f"runbook approve {run_id}",
        )

    def _demand(self) -> Demand:
        return demand_on(self._desk, self._scribe.staging.events)


def _people(count: int) -> str:
    return "the approval of one person" if count == 1 else f"the approval of {count} people"


def demand_on(desk: Desk, events: list[dict[str, Any]]) -> Demand:
    """What the target of a run demands; one without a target has nobody to demand anything."""
    opened = events[0]
    if opened["target"] is None:
        return Demand()
    given = opened.get("given")
    return demand_of(desk.target(given) if given else Target(name=opened["target"]["name"]), desk.targets)


def asking_of(desk: Desk, events: list[dict[str, Any]], past: Past, plan: Mapping[str, Any]) -> Asking:
    """A run that asks for its plan to be approved, from what it has journalled."""
    opened = events[0]
    target = latest_target(events) or {}
    terms = Terms(
        runbook=opened["runbook"]["sha256"], parameters=opened["parameters"], target=target, plan=plan_from(plan)
    )
    requesters = {opened["cause"]["who"], *past.requesters}
    return Asking(
        terms=terms,
        demand=demand_on(desk, events),
        requesters=frozenset(name for who in requesters for name in names_of(who, desk.people)),
        runs=frozenset({*past.chain, opened["run_id"]}),
    )


def latest_target(events: list[dict[str, Any]]) -> Mapping[str, Any] | None:
    """The target as the run has found it last."""
    found = [event["target"] for event in events if event["kind"] == "target"]
    return found[-1] if found else None


def break_glass(desk: Desk, run_id: str, asking: Asking, reason: str) -> None:
    """Enter into the ledger that somebody goes on without the approval that is demanded, and why."""
    now = desk.clock()
    expires_at = format_instant(expiry(now, None, Kind.BREAK_GLASS))
    said = statement(
        kind=Kind.BREAK_GLASS, digest=asking.terms.digest(), run_id=run_id, who=desk.who, expires_at=expires_at,
        bounds={},
    )  # fmt: skip
    body = {**said, "how_known": desk.how_known, "reason": reason}
    Ledger(desk.archive, desk.keys).append(EntryKind.BREAK_GLASS, at=now, run_id=run_id, who=desk.who, body=body)


def approval_json(approval: Approval) -> dict[str, Any]:
    """An approval as a record has it."""
    return {
        "digest": approval.digest, "who": approval.who, "how_known": approval.how_known,
        "at": format_instant(approval.at), "kind": approval.kind.value, "reason": approval.reason,
    }  # fmt: skip


def last_asked(events: list[dict[str, Any]]) -> Event | None:
    """The question that a run waits with."""
    return next((event for event in reversed(events) if event["kind"] == "asked"), None)
