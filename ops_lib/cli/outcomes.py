"""How a run is followed, and how it ends, for whoever has started the command."""

import atexit
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from ops_lib.cli import render
from ops_lib.cli.progress import Progress
from ops_lib.model.errors import WaitsForApproval
from ops_lib.model.journal import Event
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
        with _listening(given, desk) as listener:
            sealed = act(listener)
        render.resumable(sealed.record)
        from ops_lib.archive.indexing import keep_up  # noqa: PLC0415

        atexit.register(keep_up, desk.archive)  # once everybody has seen how the run ended
        return sealed
    except WaitsForApproval as waits:
        if (given.json or given.json_lines) and waits.run_id:
            from ops_lib.operations.waiting import waiting, waiting_json  # noqa: PLC0415

            told = waiting_json(waiting(desk, waits.run_id))
            if given.json:
                render.document(told)
            else:
                render.json_line({"kind": "waits", "waiting": told})
        raise


def show_sealed(given: Namespace, sealed: "Sealed") -> None:
    """The record of a run that ended, as it was asked for."""
    if given.json_lines:
        render.json_line({"kind": "sealed", "folder": str(sealed.folder), "record": sealed.record})
    else:
        render.record(sealed.record, sealed.folder, as_json=given.json)


@contextmanager
def _listening(given: Namespace, desk: Desk) -> Iterator[Listener]:
    """Who is told what happens: a person by questions or by everything, and a program line by line."""
    with _shown(given, desk) as shown:
        if not given.json_lines:
            yield shown
            return

        def both(event: Event) -> None:
            render.json_line(event)
            shown(event)

        yield both


def _shown(given: Namespace, desk: Desk) -> AbstractContextManager[Listener]:
    if not given.follow:
        return Progress()
    from ops_lib.cli.follow import Follow  # noqa: PLC0415 - rich is heavy
    from ops_lib.operations.pace import usual_pace  # noqa: PLC0415

    return Follow(partial(usual_pace, desk))
