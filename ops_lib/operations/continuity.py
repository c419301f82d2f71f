"""That a run which takes up another is its only successor, on the same target, and says so."""

from collections.abc import Mapping
from typing import Any

from ops_lib.archive.chains import successor
from ops_lib.archive.ledger import Ledger
from ops_lib.model.approval import identity_of
from ops_lib.model.errors import Refused
from ops_lib.model.run import Request
from ops_lib.model.step import Past


def taken_up(request: Request, past: Past) -> dict[str, Any]:
    """What only some runs have to declare: which run they take up, what was said of its steps, a broken glass."""
    said = {name: word.value for name, word in past.settled.items()}
    told = {"resumes": past.resumes, "settled": said, "break_glass": request.break_glass}
    return {name: value for name, value in told.items() if value}


def check_chain(ledger: Ledger, past: Past, run_id: str) -> None:
    """A run is taken up once: where two try, the one whose intent came first goes on."""
    first = successor(ledger, past.resumes) if past.resumes else None
    if first not in (None, run_id):
        raise Refused(f"run {past.resumes} was taken up by run {first} already", hint=f"runbook resume {first}")


def check_same_target(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> None:
    """A run is taken up only on the target on which it began."""
    if before is None:
        return
    was, found = identity_of(before), identity_of(now or {})
    changed = [f"{name} was {was[name]} and is {found[name]}" for name in was if was[name] != found[name]]
    if changed:
        raise Refused(f"the target is another one: {', '.join(changed)}", hint="begin a new run on it")
