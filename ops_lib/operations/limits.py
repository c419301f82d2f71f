"""What ends a run from outside: its time is over, or somebody says so."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ops_lib.model.run import Outcome
from ops_lib.model.runbook import Runbook
from ops_lib.operations.supervisor import Supervisor


@contextmanager
def deadline(runbook: Runbook, supervisor: Supervisor) -> Iterator[None]:
    timer = threading.Timer(runbook.timeout.total_seconds(), supervisor.stop, (Outcome.TIMED_OUT,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def signals(supervisor: Supervisor) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a lost terminal end the run after its step; the same one a second time ends it now.

    What they interrupt is in a thread of its own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    heard: set[int] = set()

    def stop(number: int, frame: object) -> None:
        given = {"outcome": Outcome.INTERRUPTED, "now": number in heard}
        heard.add(number)
        threading.Thread(target=supervisor.stop, kwargs=given, daemon=True).start()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
