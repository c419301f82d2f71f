"""The command `lab`: a runbook in JupyterLab."""

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec

from ops_lib import wiring
from ops_lib.cli import attend, render
from ops_lib.cli.desk import recovered
from ops_lib.model.errors import BadInput
from ops_lib.model.run import Cause, Request


def lab(given: Namespace) -> int:
    """Becomes JupyterLab, on a working copy."""
    from ops_lib.notebooks.working_copy import jupyter_command  # noqa: PLC0415
    from ops_lib.operations.open_lab import open_lab  # noqa: PLC0415

    if find_spec("jupyterlab") is None:
        raise BadInput("JupyterLab is not installed here", hint="pip install 'ops-runbooks[lab]'")
    if given.parameters and not given.id:
        raise BadInput("parameters are given, and no runbook", hint="runbook lab ID -p NAME=VALUE")
    desk = recovered(given)
    request = Request(
        runbook=given.id or "",
        cause=in_jupyterlab(wiring.person(desk)),
        target=given.target,
        parameters=dict(given.parameters),
        reason=given.reason,
        ticket=given.ticket,
    )
    kernel = [sys.executable, "-m", attend.__name__]
    opened = open_lab(desk, request, wiring.state_folder() / "lab", kernel)
    render.text(f"what is opened is a copy in {opened.root}: the reviewed files are not written")
    sys.stdout.flush()
    more = [f"--ServerApp.port={given.port}"] if given.port else []
    command = jupyter_command(
        opened.root, opened.files[0], as_root=os.geteuid() == 0, browser=not given.no_browser, more=more
    )
    places = [str(opened.kernels), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    os.execve(command[0], command, {**os.environ, "JUPYTER_PATH": os.pathsep.join(places)})  # noqa: S606


def in_jupyterlab(cause: Cause) -> Cause:
    """The cause of a run whose cells somebody runs by hand."""
    return replace(cause, how_known=f"{cause.how_known}, in JupyterLab")


COMMANDS: Mapping[str, Callable[[Namespace], int]] = {"lab": lab}
