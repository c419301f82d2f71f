"""Going on: what a run began with, found again unchanged, and a run that waited, from the top."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ops_lib.archive.chains import past_of
from ops_lib.archive.staging import Staging
from ops_lib.model.errors import OpsError, Refused
from ops_lib.model.journal import waits
from ops_lib.model.parameter import abridged
from ops_lib.model.run import Cause, Request
from ops_lib.notebooks.catalogue import find_runbook
from ops_lib.notebooks.execution import INJECTED, prepare
from ops_lib.notebooks.front_matter import read_notebook, source_of
from ops_lib.notebooks.parameters import binding_source
from ops_lib.operations.desk import Desk, Listener, nobody
from ops_lib.operations.known import redactor_for
from ops_lib.operations.limits import signals
from ops_lib.operations.owner import this_process
from ops_lib.operations.run import Bound, Sealed, bind_request, conclude, plain_parameters
from ops_lib.operations.seal import NOTEBOOK
from ops_lib.operations.steps import HIDDEN
from ops_lib.operations.supervisor import Supervisor

Journal = Sequence[Mapping[str, Any]]


def request_again(opened: Mapping[str, Any], cause: Cause, **more: Any) -> Request:
    """The request with which a run began, as its journal has it."""
    hidden = [name for name, value in opened["parameters"].items() if HIDDEN in str(value)]
    if hidden:
        hint = "begin a new run"
        raise Refused(f"parameter {hidden[0]} held a secret, which was not kept", hint=hint)
    given = opened.get("given") if opened["target"] else None
    told = {"reason": opened["reason"], "ticket": opened["ticket"], **more}
    return Request(runbook=opened["runbook"]["id"], cause=cause, target=given, parameters=opened["parameters"], **told)


def bind_again(desk: Desk, request: Request, opened: Mapping[str, Any], before: Mapping[str, Any]) -> Bound:
    """What a run began with; Refused with the difference where the runbook or a parameter is another one now.

    `before` is the notebook as the run has stored it.
    """
    found = find_runbook(desk.runbooks, request.runbook)
    if found.sha256 != opened["runbook"]["sha256"]:
        notebook, _ = read_notebook(Path(found.path))
        changes = "; ".join(differences(before, notebook)) or "in what is no code"
        raise Refused(
            f"{request.runbook} was changed since run {opened['run_id']} began: {changes}",
            hint="put it back as it was, or begin a new run: it would not know what was done",
        )
    bound = bind_request(desk, request)
    now = plain_parameters(bound.values)
    changed = [f"{name} was {was!r} and is {now.get(name)!r}" for name, was in opened["parameters"].items()]
    if now != opened["parameters"]:
        raise Refused(f"parameters are others than in run {opened['run_id']}: {'; '.join(changed)}")
    return bound


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Which code cells are different, each with its first line that is."""
    was, found = _sources(before), _sources(now)
    for cell in [*was, *(cell for cell in found if cell not in was)]:
        old, new = was.get(cell, ""), found.get(cell, "")
        if old != new:
            pairs = zip_longest(old.splitlines(), new.splitlines(), fillvalue="")
            first = next((pair for pair in pairs if pair[0] != pair[1]), ("", ""))
            yield f"cell {cell} had {abridged(first[0])} and has {abridged(first[1])}"


def _sources(notebook: Mapping[str, Any]) -> dict[str, str]:
    """The code of a notebook by cell, as `prepare` names them."""
    cells = prepare(notebook, "")["cells"]
    return {cell["id"]: source_of(cell) for cell in cells if cell["cell_type"] == "code" and cell["id"] != INJECTED}


def proceed(
    desk: Desk, staging: Staging, cause: Cause, listener: Listener = nobody, break_glass: str | None = None
) -> Sealed:
    """Go on with a run that waits, whose folder is held: its notebook from the top, without the steps that ended."""
    opened = staging.events[0]
    try:
        bound = bind_again(desk, request_again(opened, cause), opened, json.loads(staging.read(NOTEBOOK)))
    except OpsError:
        staging.close()
        raise
    supervisor = Supervisor(desk, staging, redactor_for(desk, bound.login, bound.notebook), listener)
    supervisor.follow(past_of(desk.archive, opened.get("resumes"), staging.events), break_glass)
    with signals(supervisor):
        supervisor.journal("continued", durable=True, owner=this_process(), cause=cause.to_json())
        prepared = prepare(bound.notebook, binding_source(bound.values))
        return conclude(desk, bound, prepared, supervisor)


def waiting_run(desk: Desk, run_id: str) -> Staging:
    """The folder of a run that waits, held; Refused where somebody else has it, or it does not wait any more."""
    staging = Staging.reopen(desk.archive, run_id)
    if staging is None:
        raise Refused(f"somebody is working on run {run_id} now", hint=f"see: runbook record {run_id}")
    if not waits(staging.events):
        staging.close()
        raise Refused(f"run {run_id} does not wait any more", hint=f"see: runbook record {run_id}")
    return staging
