"""The commands around handoffs: list, show, ack, reject, send, check."""

from argparse import Namespace
from collections.abc import Callable, Mapping

from ops_lib.cli import owing, render
from ops_lib.cli.desk import recovered
from ops_lib.model.errors import BadInput


def handoff(given: Namespace) -> int:
    _ACTIONS[given.action](given)
    return 0


def _list(given: Namespace) -> None:
    from ops_lib.operations.acknowledge import all_handoffs  # noqa: PLC0415

    found = all_handoffs(recovered(given), closed=given.all)
    if given.json:
        render.document([item.to_json() for item in found])
    elif found:
        render.table(owing.COLUMNS, owing.rows(found))
    else:
        render.text("there is no handoff" if given.all else "no handoff is owed")


def _show(given: Namespace) -> None:
    from ops_lib.operations.acknowledge import find  # noqa: PLC0415

    found = find(recovered(given), given.id)
    if given.json:
        render.document({**found.standing.to_json(), "redacted": found.redacted, "message": found.message})
    elif not given.yaml:
        render.lines(owing.facts(found))
    elif found.message is None:
        raise BadInput(f"the message of handoff {found.standing.id} went with its record, which was pruned")
    else:
        render.text(owing.message(found.message))


def _ack(given: Namespace) -> None:
    from ops_lib.operations.acknowledge import acknowledge  # noqa: PLC0415

    item = acknowledge(recovered(given), given.id, given.note)
    render.text(f"handoff {item.id} is {owing.state(item)}")


def _reject(given: Namespace) -> None:
    from ops_lib.operations.acknowledge import reject  # noqa: PLC0415

    item = reject(recovered(given), given.id, given.reason)
    render.text(f"handoff {item.id} is {owing.state(item)}")


def _send(given: Namespace) -> None:
    from ops_lib.operations.acknowledge import read_file, send  # noqa: PLC0415

    item = send(recovered(given), read_file(given.file), to=given.to, reason=given.reason)
    render.text(f"handoff {item.id} is owed by {item.recipient}: runbook handoff ack {item.id}")


def _check(given: Namespace) -> None:
    from ops_lib.operations.acknowledge import read_file  # noqa: PLC0415

    read = read_file(given.file).addressed(None, given.to)
    told = "" if read.known else "; nobody has agreed on this trigger, so its context holds what it likes"
    render.text(f"{given.file}: {read.trigger} from {read.sender} to {read.recipient}{told}")


_ACTIONS: Mapping[str, Callable[[Namespace], None]] = {
    "list": _list,
    "show": _show,
    "ack": _ack,
    "reject": _reject,
    "send": _send,
    "check": _check,
}

COMMANDS: Mapping[str, Callable[[Namespace], int]] = {"handoff": handoff}
