"""The commands of the schedule: what is due when, and running what is due."""

from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path

from ops_lib import wiring
from ops_lib.cli import render, timetable
from ops_lib.cli.desk import recovered
from ops_lib.cli.progress import Progress
from ops_lib.model.errors import BadInput, Overtaken
from ops_lib.model.run import Outcome

_FAULTY, _INTERRUPTED = 1, 130


def tick(given: Namespace) -> int:
    from ops_lib.operations.tick import tick  # noqa: PLC0415

    settled = []
    try:
        with Progress() as progress:
            for one in tick(recovered(given), wiring.filed_schedules(), progress):
                settled.append(one)
                if not given.json:
                    timetable.settled(one)
    except Overtaken as error:
        if not given.json:
            render.text(str(error))
    if given.json:
        render.document([one.to_json() for one in settled])
    if any(one.sealed and one.sealed.record["outcome"] == Outcome.INTERRUPTED for one in settled):
        return _INTERRUPTED
    return 0 if all(one.well for one in settled) else _FAULTY


def schedule(given: Namespace) -> int:
    if given.action == "export":
        return _export(given)
    if given.form:
        raise BadInput(f"{given.form} is not understood here", hint="runbook schedule export FORM")
    from ops_lib.operations.schedule import listed  # noqa: PLC0415

    timetable.schedules(listed(recovered(given), wiring.filed_schedules()), as_json=given.json)
    return 0


def _export(given: Namespace) -> int:
    from ops_lib.operations.schedule import EXPORTS  # noqa: PLC0415

    options = [("--archive", given.archive), ("--runbooks", given.runbooks)]
    more = [word for name, path in options if path for word in (name, str(path.absolute()))]
    command = [str(wiring.own_command()), "tick", *more]
    render.text(EXPORTS[given.form or "cron"](command, Path.cwd(), wiring.account()).rstrip("\n"))
    return 0


COMMANDS: Mapping[str, Callable[[Namespace], int]] = {"tick": tick, "schedule": schedule}
