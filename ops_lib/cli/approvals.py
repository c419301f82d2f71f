"""The commands with which people let runs go on: resume, waiting, approve, review."""

import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ops_lib import wiring
from ops_lib.cli import render
from ops_lib.cli.desk import recovered
from ops_lib.cli.outcomes import EXIT_CODES, sealed_or_waiting, show_sealed
from ops_lib.model.errors import Refused
from ops_lib.model.run import Outcome
from ops_lib.model.times import parse_duration

if TYPE_CHECKING:
    from ops_lib.operations.desk import Desk
    from ops_lib.operations.run import Sealed
    from ops_lib.operations.waiting import Waiting

SHORTEST_DIGEST = 12
_USUAL_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


def resume(given: Namespace) -> int:
    from ops_lib.model.step import settled_from  # noqa: PLC0415
    from ops_lib.operations.resume import resume as take_up  # noqa: PLC0415

    desk, settled = recovered(given), settled_from(given.step)
    told = {"reason": given.reason, "break_glass": given.break_glass}
    return _ended(
        given,
        sealed_or_waiting(
            desk, given, lambda listen: take_up(desk, given.run, settled, wiring.person(desk), listen, **told)
        ),
    )


def waiting(given: Namespace) -> int:
    from ops_lib.operations.acknowledge import all_handoffs  # noqa: PLC0415
    from ops_lib.operations.waiting import all_waiting, owed, waiting_json  # noqa: PLC0415

    desk = recovered(given)
    found, reviews, handoffs = all_waiting(desk), [*owed(desk)], all_handoffs(desk, closed=False)
    if given.json:
        owing = [{"run_id": item.run_id, "who": item.who, "at": item.at, "reason": item.reason} for item in reviews]
        told = {"waiting": [waiting_json(item) for item in found], "owed_reviews": owing}
        render.document({**told, "owed_handoffs": [item.to_json() for item in handoffs]})
    else:
        render.waiting(found, reviews, handoffs)
    return 0


def approve(given: Namespace) -> int:
    from ops_lib.operations import approve as approving  # noqa: PLC0415
    from ops_lib.operations.waiting import waiting as find  # noqa: PLC0415

    desk = recovered(given)
    found = find(desk, given.run)
    if given.decline:
        return _ended(given, approving.decline(desk, found.run_id, given.decline))
    if not given.break_glass and found.missing:
        _say_yes(desk, given, found)
    if approving.is_open(desk, found.run_id):
        render.text(f"run {found.run_id} is open in JupyterLab: run the cell that asked once more")
        return 0
    told = {"break_glass": given.break_glass}
    cause = wiring.person(desk)
    return _ended(
        given,
        sealed_or_waiting(desk, given, lambda listen: approving.go_on(desk, found.run_id, cause, listen, **told)),
    )


def _say_yes(desk: "Desk", given: Namespace, found: "Waiting") -> None:
    """Show what is asked, and enter the yes to it; Refused where there is none."""
    from ops_lib.operations import approve as approving  # noqa: PLC0415

    approving.check_unchanged(desk, found.run_id)
    if given.yes is None:
        from ops_lib.cli.asking import question  # noqa: PLC0415

        render.lines(question(found))
        _ask(found)
    elif len(given.yes) < SHORTEST_DIGEST or not found.digest.startswith(given.yes.lower()):
        raise Refused(f"run {found.run_id} asks for plan {found.digest}, and not for {given.yes}", hint="look again")
    length = parse_duration(given.length) if given.length else None
    key = given.key or (_usual_key() if found.asking.demand.signed else None)
    yes = approving.Yes(length=length, key=key, standing=given.standing, bounds=dict(given.bound))
    approving.approve(desk, found, yes)


def _ask(found: "Waiting") -> None:
    if not sys.stdin.isatty():
        hint = f"read the plan, then: runbook approve {found.run_id} --yes DIGEST"
        raise Refused("nobody can be asked here, and silence is no yes", hint=hint)
    if input(f"Approve plan {found.digest[:SHORTEST_DIGEST]}? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Refused(f"not approved: run {found.run_id} waits on", hint="--decline REASON ends it")


def _usual_key() -> Path | None:
    keys = [Path.home() / ".ssh" / name for name in _USUAL_KEYS]
    return next((key for key in keys if key.exists()), None)


def review(given: Namespace) -> int:
    from ops_lib.operations.review import review as enter  # noqa: PLC0415

    run_id = enter(recovered(given), given.run, given.note, given.key or _usual_key())
    render.text(f"run {run_id} is reviewed")
    return 0


def _ended(given: Namespace, sealed: "Sealed") -> int:
    show_sealed(given, sealed)
    return EXIT_CODES[Outcome(sealed.record["outcome"])]


COMMANDS: Mapping[str, Callable[[Namespace], int]] = {
    "resume": resume,
    "waiting": waiting,
    "approve": approve,
    "review": review,
}
