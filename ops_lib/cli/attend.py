"""The program that JupyterLab takes for the kernel of a runbook: `python -m ops_lib.cli.attend REQUESTS CONNECTION`.

It works in the folder in which `runbook lab` was used, so that targets and files are found as `runbook run` finds them.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePath

from ops_lib import wiring
from ops_lib.cli import render
from ops_lib.model.errors import OpsError
from ops_lib.model.run import Cause, Request


def main(asked: Path, connection_file: Path) -> int:
    """0 once the kernel has ended and what ran in it is sealed."""
    from ops_lib.operations.lab import attend  # noqa: PLC0415

    for number in (signal.SIGINT, signal.SIGTERM):  # Jupyter says by message what it wants, and is answered by an end
        signal.signal(number, lambda *_: None)
    requests = json.loads(asked.read_bytes())
    said = requests[notebook_of(os.environ) if len(requests) > 1 else next(iter(requests))]
    connection = json.loads(connection_file.read_bytes())
    os.chdir(said["cwd"])
    try:
        desk = wiring.open_desk(archive=Path(said["archive"]))
        desk = replace(desk, runbooks=tuple(map(Path, said["runbooks"])))
        attend(desk, Request(cause=Cause(**said["cause"]), **said["request"]), connection)
    except OpsError as error:
        render.fault(error)
        return error.exit_code
    return 0


def notebook_of(environment: Mapping[str, str]) -> str:
    """The file that a kernel is started for, as Jupyter's server says it."""
    return PurePath(environment.get("JPY_SESSION_NAME", "")).name


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
