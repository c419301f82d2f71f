"""A changing run's turn on its target: alone on this machine by a file, and alone on the target by a lock there."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ops_lib.archive import locks
from ops_lib.model.run import RUN_VARIABLE
from ops_lib.model.runbook import Runbook
from ops_lib.model.target import Hazard, Login, Target
from ops_lib.operations.desk import Desk
from ops_lib.operations.supervisor import Supervisor
from ops_lib.postgres.alone import alone

_LOOK_AGAIN_SECONDS = 0.1


@contextmanager
def turn(
    desk: Desk,
    runbook: Runbook,
    target: Target,
    login: Login | None,
    supervisor: Supervisor,
    *,
    patient: bool = True,
) -> Iterator[None]:
    """Wait until no other run changes the target, for as long as the run itself may take; Refused where one still does.

    A run within a run does not wait: the one that it belongs to may be who it would wait for.
    """
    if runbook.hazard is Hazard.READ_ONLY or not login:
        yield
        return
    events = supervisor.staging.events
    found = next(event for event in events if event["kind"] == "target")
    name = f"{found['target']['database']} of {found['target']['system_identifier'] or found['target']['name']}"
    patient = patient and RUN_VARIABLE not in desk.environment
    patience = _patience(supervisor, runbook.timeout.total_seconds()) if patient else locks.impatient
    direct = desk.reach(replace(target, service=None, dsn=target.direct), runbook.hazard) if target.direct else login
    with (
        locks.hold(desk.archive, name, _holder(runbook, events[0], supervisor.staging.run_id), patience),
        alone(direct, application_name=found["application_name"], patience=patience) as held,
    ):
        supervisor.before_step = held.require
        yield


def _holder(runbook: Runbook, opened: Mapping[str, Any], run_id: str) -> Mapping[str, str]:
    return {"run_id": run_id, "runbook": runbook.id, "who": opened["cause"]["who"], "since": opened["at"]}


def _patience(supervisor: Supervisor, seconds: float) -> Callable[[str], bool]:
    """Waits until somebody stops the run or its time is over; says once for whom."""
    until = time.monotonic() + seconds
    told: set[str] = set()

    def wait(holder: str) -> bool:
        if holder not in told:
            told.add(holder)
            supervisor.journal("queued", behind=holder)
        return not supervisor.stopping.wait(_LOOK_AGAIN_SECONDS) and time.monotonic() < until

    return wait
