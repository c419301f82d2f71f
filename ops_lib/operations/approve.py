"""Saying yes, or no, to the plan of a run that waits."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from ops_lib.archive.files import try_lock_folder
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.signatures import public_key, sign
from ops_lib.archive.staging import events_of
from ops_lib.model.approval import Bound, Kind, bound_from, expiry, statement
from ops_lib.model.errors import BadInput, Refused, WaitsForApproval
from ops_lib.model.ledger import EntryKind, canonical
from ops_lib.model.people import holder_of, person_behind
from ops_lib.model.run import Cause, Outcome
from ops_lib.model.times import format_instant
from ops_lib.operations.desk import Desk, Listener, nobody
from ops_lib.operations.known import redactor_for
from ops_lib.operations.proceed import bind_again, proceed, request_again, waiting_run
from ops_lib.operations.run import Sealed
from ops_lib.operations.seal import NOTEBOOK, seal
from ops_lib.operations.waiting import Waiting, waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Yes:
    """How somebody says yes: for how long, and by which SSH key where the target wants it signed.

    A standing one covers later runs of the same terms; `bounds` are parameters that may differ, such as `days: 1..9`.
    """

    length: timedelta | None = None
    key: Path | None = None
    standing: bool = False
    bounds: Mapping[str, str] = field(default_factory=dict)


def approve(desk: Desk, found: Waiting, yes: Yes) -> None:
    """Enter a yes to exactly what was shown into the ledger; Refused where this person's would not count."""
    who, how_known = approver(desk, yes.key, signed=found.asking.demand.signed)
    if found.asking.demand.approvals > 1 and who in found.asking.requesters:
        raise Refused(f"{who} has asked for run {found.run_id}, and its target demands others", hint="ask a colleague")
    now, kind = desk.clock(), Kind.STANDING if yes.standing else Kind.ONCE
    bounds = _bounds(found, yes)
    said = statement(
        kind=kind, digest=found.asking.terms.digest(bounds), run_id=found.run_id, who=who,
        expires_at=format_instant(expiry(now, yes.length, kind)), bounds=bounds,
    )  # fmt: skip
    signature = sign(canonical(said), yes.key) if found.asking.demand.signed and yes.key else None
    body = {**said, "how_known": how_known, "signature": signature, "plan": found.asking.terms.plan.to_json()}
    Ledger(desk.archive, desk.keys).append(EntryKind.APPROVAL, at=now, run_id=found.run_id, who=who, body=body)


def approver(desk: Desk, key: Path | None, *, signed: bool) -> tuple[str, str]:
    """Who says yes, and how that is known: by an SSH key where it is signed, else by the local account."""
    if not signed:
        return person_behind(desk.who, desk.people), desk.how_known
    if key is None:
        raise Refused("this target wants approvals signed", hint="name your SSH key with --key FILE")
    public = public_key(key)
    person = holder_of(public, desk.people)
    if person is None:
        hint = "add it to infrastructure/people.yaml, in a commit that somebody else reviews"
        raise Refused(f"the key in {key} belongs to nobody who may approve", hint=hint)
    return person.name, f"SSH key {' '.join(public.split()[:2])}"


def _bounds(found: Waiting, yes: Yes) -> dict[str, Bound]:
    if yes.bounds and not yes.standing:
        raise BadInput("bounds belong to a standing approval", hint="say --standing too")
    given = found.asking.terms.parameters
    for name in yes.bounds:
        if name not in given:
            raise BadInput(f"{name} is no parameter of {found.runbook}", hint=f"it has {', '.join(given) or 'none'}")
    return {name: bound_from(text, given[name]) for name, text in yes.bounds.items()}


def check_unchanged(desk: Desk, run_id: str) -> None:
    """Refused with the difference where a run that waits could not go on as it is, so that nobody says yes in vain."""
    staged = desk.archive / "staging" / run_id
    opened, cause = events_of(staged)[0], Cause(kind="person", who=desk.who, how_known=desk.how_known)
    bind_again(desk, request_again(opened, cause), opened, json.loads((staged / NOTEBOOK).read_bytes()))


def is_open(desk: Desk, run_id: str) -> bool:
    """Whether somebody has the run in hand, who goes on with it."""
    lock = try_lock_folder(desk.archive / "staging" / run_id)
    if lock is not None:
        os.close(lock)
    return lock is None


def go_on(desk: Desk, run_id: str, cause: Cause, listener: Listener = nobody, break_glass: str | None = None) -> Sealed:
    """Let a run that was approved go on; WaitsForApproval where it needs more."""
    found = waiting(desk, run_id)
    if found.missing and break_glass is None:
        wanted = "one person has" if found.missing == 1 else f"{found.missing} people have"
        raise WaitsForApproval(f"run {run_id} waits: {wanted} to approve it yet", hint=f"runbook approve {run_id}")
    return proceed(desk, waiting_run(desk, run_id), cause, listener, break_glass)


def decline(desk: Desk, run_id: str, reason: str) -> Sealed:
    """Seal a run that waits as refused, with who said no and why."""
    staging = waiting_run(desk, run_id)
    body: dict[str, Any] = {"reason": reason, "how_known": desk.how_known}
    Ledger(desk.archive, desk.keys).append(EntryKind.DECLINE, at=desk.clock(), run_id=run_id, who=desk.who, body=body)
    error = {
        "type": Refused.__name__, "message": f"declined by {desk.who}: {reason}", "hint": None, "cell": None,
    }  # fmt: skip
    redactor = redactor_for(desk, None)
    ended = {"kind": "ended", "at": format_instant(desk.clock()), "outcome": Outcome.REFUSED.value}
    staging.append({**ended, "error": redactor.json(error)}, durable=True)
    folder, record = seal(desk, staging, redactor)
    return Sealed(folder=folder, record=record)
