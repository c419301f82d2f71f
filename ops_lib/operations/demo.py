"""The demonstration from nothing to a verdict: the story is played, and the real runbooks look at it."""

from ops_lib.model.run import Cause, Request
from ops_lib.operations import demonstrate, snapshots
from ops_lib.operations.demonstrate import Demonstration, Progress, Stage
from ops_lib.operations.desk import Desk, Listener
from ops_lib.operations.run import Sealed, run
from ops_lib.postgres.connection import connect, identify

TARGET = "demo"


def play(desk: Desk, demonstration: Demonstration, cause: Cause, progress: Progress, listener: Listener) -> Sealed:
    """Play what is left of the story, and investigate. Nothing that was done is done again."""
    demonstration.server.start(progress)
    if _has_no_memory(desk, demonstration):
        progress("this archive has no snapshot from before: the story begins again")
        demonstrate.reset(demonstration, progress)
    demonstrate.install(demonstration, progress)
    demonstrate.work_normally(demonstration, progress)
    if not demonstrate.status(demonstration).reached(Stage.BROKEN):
        request = Request(runbook="OPS-SNAPSHOT", cause=cause, target=TARGET, reason="while all is well")
        run(desk, request, listener)
    demonstrate.break_it(demonstration, progress)
    demonstrate.work_again(demonstration, progress)
    request = Request(runbook="SOP-004", cause=cause, target=TARGET, reason="feature extraction has become slow")
    return run(desk, request, listener)


def _has_no_memory(desk: Desk, demonstration: Demonstration) -> bool:
    """Whether the platform was broken before this archive saw it well."""
    if not demonstrate.status(demonstration).reached(Stage.BROKEN):
        return False
    with connect(demonstration.login(), application_name="runbook/demo") as connection:
        identity = identify(connection)
    return snapshots.newest(desk.archive, identity) is None
