"""Working copies for JupyterLab, and the description of the kernel that attends to them."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ops_lib.model.errors import BadInput
from ops_lib.model.run import Request
from ops_lib.notebooks.catalogue import read_catalogue
from ops_lib.notebooks.execution import prepare
from ops_lib.notebooks.parameters import binding_source
from ops_lib.notebooks.working_copy import working_copy, write_kernel
from ops_lib.operations.desk import Desk
from ops_lib.operations.run import Bound, bind_request

REQUESTS = "requests.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Working copies: the folder that JupyterLab serves, the files in it, and where our kernel is described."""

    root: Path
    files: tuple[str, ...]
    kernels: Path


def open_lab(desk: Desk, request: Request, folder: Path, command: Sequence[str]) -> Opened:
    """Write a working copy of a runbook below a folder; of every one that can be run as it is, where none is named.

    `command` starts the kernel; what it is asked to run stands in a file beside the copies, under each one's name.
    """
    asked = [request] if request.runbook else _all(desk, request)
    bound = [(one, bind_request(desk, one)) for one in asked]
    place = folder / secrets.token_hex(4)
    root = place / "work"
    root.mkdir(parents=True, mode=0o700)
    for _, one in bound:
        _write_copy(root, one)
    said = {_file(one): _request_json(desk, wanted) for wanted, one in bound}
    (place / REQUESTS).write_text(json.dumps(said), encoding="utf-8")
    shown_as = _shown_as(bound[0][1]) if len(bound) == 1 else f"Runbooks on {desk.target(request.target).name}"
    write_kernel(place / "jupyter", [*command, str(place / REQUESTS)], shown_as)
    return Opened(root=root, files=tuple(said), kernels=place / "jupyter")


def _all(desk: Desk, request: Request) -> list[Request]:
    """A request for each runbook that needs no parameter and whose target can be reached."""
    found = []
    for runbook in read_catalogue(desk.runbooks).runbooks:
        wanted = replace(request, runbook=runbook.id)
        try:
            bind_request(desk, wanted)
            found.append(wanted)
        except BadInput as error:
            desk.warn(f"{runbook.id} is left out: {error}")
    if not found:
        raise BadInput("no runbook can be opened", hint="name one, with what it needs: runbook lab ID -p NAME=VALUE")
    return found


def _write_copy(root: Path, bound: Bound) -> None:
    if bound.refusal:
        raise bound.refusal
    copied = working_copy(prepare(bound.notebook, binding_source(bound.values)), _shown_as(bound))
    (root / _file(bound)).write_text(json.dumps(copied, indent=1, ensure_ascii=False), encoding="utf-8")


def _file(bound: Bound) -> str:
    return Path(bound.runbook.path).name


def _shown_as(bound: Bound) -> str:
    return f"{bound.runbook.id} on {bound.target.name}"


def _request_json(desk: Desk, request: Request) -> dict[str, Any]:
    return {
        "cwd": str(desk.cwd.absolute()), "archive": str(desk.archive.absolute()),
        "runbooks": [str(folder.absolute()) for folder in desk.runbooks],
        "request": {
            "runbook": request.runbook, "target": request.target, "parameters": dict(request.parameters),
            "reason": request.reason, "ticket": request.ticket,
        },
        "cause": request.cause.to_json(),
    }  # fmt: skip
