"""How a run ends for whoever has started the command."""

from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from ops_lib.cli import render
from ops_lib.cli.progress import Progress
from ops_lib.model.errors import WaitsForApproval
from ops_lib.model.run import Outcome
from ops_lib.operations.desk import Desk, Listener

if TYPE_CHECKING:
    from ops_lib.operations.run import Sealed

EXIT_CODES = {
    Outcome.SUCCEEDED: 0,
    Outcome.FAILED: 1,
    Outcome.REFUSED: 3,
    Outcome.TIMED_OUT: 5,
    Outcome.INTERRUPTED: 130,
}


def sealed_or_waiting(desk: Desk, given: Namespace, act: "Callable[[Listener], Sealed]") -> "Sealed":
    """What a run has left; one that waits is shown as JSON where that is wanted, and is no record."""
    try:
        with Progress() as progress:
            sealed = act(progress)
        render.resumable(sealed.record)
        return sealed
    except WaitsForApproval as waits:
        if given.json and waits.run_id:
            from ops_lib.operations.waiting import waiting, waiting_json  # noqa: PLC0415

            render.document(waiting_json(waiting(desk, waits.run_id)))
        raise
