"""One run of a runbook, from what was asked for to a sealed record.

    bind        the runbook is found, its parameters and target are bound; what does not fit is refused, unrecorded
    intent      the run is staged, and the ledger says what is about to happen
    needs       what the runbook needs is checked; what is missing is a refusal, sealed
    execute     the cells run under the supervisor until they end, fail, are ended, or have to wait for an approval
    seal        the record is made of the journal; a run that waits is left as it is

A person, a schedule and an alert differ only in the request's cause.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from ops_lib.archive.ledger import Gate, Ledger, ajar
from ops_lib.archive.staging import Staging
from ops_lib.model import ulid
from ops_lib.model.errors import (
    ArchiveUnwritable,
    BadInput,
    Interrupted,
    OpsError,
    Overtaken,
    Refused,
    WaitsForApproval,
)
from ops_lib.model.journal import last_pass
from ops_lib.model.ledger import EntryKind
from ops_lib.model.parameter import bind, shown
from ops_lib.model.record import record_of
from ops_lib.model.redaction import PASSWORD
from ops_lib.model.run import CellStatus, Outcome, Request
from ops_lib.model.runbook import Runbook
from ops_lib.model.step import NO_PAST, Past
from ops_lib.model.target import Hazard, Identity, Login, Target
from ops_lib.model.times import format_instant
from ops_lib.notebooks.catalogue import find_runbook
from ops_lib.notebooks.execution import execute, planned_cells, prepare
from ops_lib.notebooks.front_matter import read_notebook
from ops_lib.notebooks.parameters import binding_source
from ops_lib.operations.beside import beside
from ops_lib.operations.compare import Earlier
from ops_lib.operations.continuity import check_chain, check_same_target, taken_up
from ops_lib.operations.desk import Desk, Listener, nobody
from ops_lib.operations.hiding import hide_notebook
from ops_lib.operations.known import redactor_for
from ops_lib.operations.limits import deadline, signals
from ops_lib.operations.owner import this_process
from ops_lib.operations.provenance import commit_of, software
from ops_lib.operations.seal import NOTEBOOK, seal
from ops_lib.operations.supervisor import Supervisor
from ops_lib.operations.turn import turn
from ops_lib.operations.workplace import Workplace
from ops_lib.postgres.connection import cancel_sessions, connect, end_sessions, identify
from ops_lib.postgres.session import application_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A finished run: where its record is and what it says."""

    folder: Path
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A request that fits: the runbook as it was read, its parameters as typed values, and how the target is reached.

    `given` is what names the target once more, when the run is taken up or sealed by another command. `commit` is still
    being asked for; `refusal` is why the target cannot be reached, where that is known before the run begins.
    """

    runbook: Runbook
    commit: Future[str | None]
    notebook: Mapping[str, Any]
    values: Mapping[str, Any]
    target: Target
    login: Login | None
    given: str
    refusal: OpsError | None = field(default=None)


def run(
    desk: Desk, request: Request, listener: Listener = nobody, past: Past = NO_PAST, *, gate: Gate = ajar
) -> Sealed:
    """Run a runbook and seal its record; `past` is what it goes on from.

    `gate` is asked while the ledger takes the intent: Overtaken, and nothing is left of the run, where it says no.
    Raises only where nothing was recorded, where the archive cannot be written, or WaitsForApproval.
    """
    bound = bind_request(desk, request)
    redactor = redactor_for(desk, bound.login, bound.notebook)
    staging = Staging.create(desk.archive, ulid.make(desk.clock(), desk.randomness(10)))
    supervisor = Supervisor(desk, staging, redactor, listener)
    supervisor.follow(past, request.break_glass)
    ahead = _workplace(desk, supervisor) if bound.runbook.hazard is Hazard.READ_ONLY else None
    try:
        with signals(supervisor):
            prepared = declare(desk, request, bound, supervisor, gate)
            return conclude(desk, bound, prepared, supervisor, ahead)
    finally:
        if ahead:
            ahead.close()


def _workplace(desk: Desk, supervisor: Supervisor) -> Workplace:
    return Workplace(desk, supervisor.staging.run_id, supervisor.answer)


def conclude(
    desk: Desk, bound: Bound, prepared: Mapping[str, Any], supervisor: Supervisor, ahead: Workplace | None = None
) -> Sealed:
    """Run the cells of a declared run to whatever end, and seal it; WaitsForApproval where it is not over.

    `ahead` is where the cells of a run that changes nothing go, begun ahead; it dies while the record is made.
    """
    ending = _attempt(desk, bound, prepared, supervisor, ahead)
    if supervisor.gate.waits and (ending["error"] or {}).get("type") == WaitsForApproval.__name__:
        supervisor.journal("waiting", durable=True)
        supervisor.staging.close()
        told = f"run {supervisor.staging.run_id} waits: {ending['error']['message']}"
        waiting = WaitsForApproval(told, hint=ending["error"]["hint"])
        waiting.run_id = supervisor.staging.run_id
        raise waiting
    supervisor.journal("ended", durable=True, **ending)
    folder, record = seal(desk, supervisor.staging, supervisor.redactor, supervisor.earlier)
    return Sealed(folder=folder, record=record)


def bind_request(desk: Desk, request: Request) -> Bound:
    """Find and bind; BadInput where the request does not fit, with nothing recorded."""
    found = find_runbook(desk.runbooks, request.runbook)
    notebook, content = read_notebook(Path(found.path))
    if sha256(content).hexdigest() != found.sha256:
        raise OpsError(f"{found.path} was changed while it was read", hint="run it again")
    commit = beside(commit_of, Path(found.path).absolute())
    ambient = {p.name: request.ambient[p.name] for p in found.parameters if p.name in request.ambient}
    values = bind(found.parameters, {**ambient, **request.parameters})
    target = desk.target(request.target)
    login, refusal = None, None
    if _needs_target(found):
        try:
            login = desk.reach(target, found.hazard)
        except BadInput:
            raise
        except OpsError as error:
            refusal = error if isinstance(error, Refused) else Refused(error.message, hint=error.hint)
    return Bound(
        runbook=found, commit=commit, notebook=notebook, values=values, target=target, login=login,
        given=target.name if desk.targets.get(target.name) == target else target.dsn or target.name, refusal=refusal,
    )  # fmt: skip


def _needs_target(runbook: Runbook) -> bool:
    return any(need.startswith("target:") for need in (*runbook.needs, *runbook.wants))


def declare(desk: Desk, request: Request, bound: Bound, supervisor: Supervisor, gate: Gate) -> dict[str, Any]:
    """Say what is about to happen, in the journal and in the ledger; the notebook that will be executed."""
    runbook, staging = bound.runbook, supervisor.staging
    prepared = prepare(bound.notebook, binding_source(bound.values))
    staging.write(NOTEBOOK, json.dumps(hide_notebook(supervisor.redactor, prepared)).encode())
    opened = {
        "runbook": {**_runbook_json(desk, runbook), "commit": bound.commit.result()},
        "cause": request.cause.to_json(),
        "reason": request.reason,
        "ticket": request.ticket,
        "parameters": plain_parameters(bound.values),
        "target": _target_json(bound, None),
        "given": bound.given,
        "scheduled_for": format_instant(request.scheduled_for) if request.scheduled_for else None,
        **taken_up(request, supervisor.steps.past),
    }
    known = {"run_id": staging.run_id, "owner": this_process(), "software": software()}
    supervisor.journal("opened", durable=True, **known, **opened)
    declare_intent(desk, staging, gate)
    return prepared


def declare_intent(desk: Desk, staging: Staging, gate: Gate = ajar) -> None:
    """Enter into the ledger what the journal of a run says that is about to happen."""
    opened = staging.events[0]
    named = ("runbook", "cause", "reason", "ticket", "parameters", "target")
    more = ("resumes", "settled", "break_glass", "scheduled_for")
    rest: dict[str, Any] = {name: opened[name] for name in more if opened.get(name) is not None}
    body: dict[str, Any] = {**{name: opened[name] for name in named}, **rest}
    ledger = Ledger(desk.archive, desk.keys)
    try:
        ledger.append(EntryKind.INTENT, at=desk.clock(), run_id=staging.run_id, who=desk.who, body=body, gate=gate)
    except Overtaken:
        staging.discard()
        raise


def _attempt(
    desk: Desk, bound: Bound, prepared: Mapping[str, Any], supervisor: Supervisor, ahead: Workplace | None
) -> dict[str, Any]:
    """How the run ended and why, as the `ended` event has it."""
    error: dict[str, Any] | None = None
    outcome = Outcome.SUCCEEDED
    try:
        with deadline(bound.runbook, supervisor):
            check_chain(Ledger(desk.archive, desk.keys), supervisor.steps.past, supervisor.staging.run_id)
            check_needs(bound, supervisor)
        with (
            turn(desk, bound.runbook, bound.target, bound.login, supervisor),
            deadline(bound.runbook, supervisor),
        ):
            _execute(desk, bound, prepared, supervisor, ahead)
        error = failed_cell(last_pass(supervisor.staging.events))
        if error:
            outcome = Outcome.REFUSED if error["type"] == Refused.__name__ else Outcome.FAILED
    except ArchiveUnwritable:
        supervisor.staging.close()
        raise
    except Refused as refusal:
        outcome, error = Outcome.REFUSED, error_json(refusal)
    except Exception as failure:  # whatever went wrong, the run is sealed and says so
        outcome, error = Outcome.FAILED, error_json(failure)
    if supervisor.stopped_as:
        outcome, error = supervisor.stopped_as, _stopped_error(bound.runbook, supervisor, error)
    return {"outcome": outcome.value, "error": error}


def check_needs(bound: Bound, supervisor: Supervisor) -> None:
    """Refuse where something that the runbook needs is missing; the target's identity goes into the journal."""
    if bound.refusal:
        raise bound.refusal
    identity = None
    if bound.login:
        name = application_name(bound.runbook.id, supervisor.staging.run_id)
        with connect(bound.login, application_name=name, hazard=bound.runbook.hazard) as connection:
            identity = identify(connection)
        target = _target_json(bound, identity)
        check_same_target(supervisor.steps.past.target, target)
        supervisor.journal("target", target=target, application_name=name, given=bound.given)
        for session in supervisor.steps.past.sessions:
            end_sessions(bound.login, session)
    for need in bound.runbook.needs:
        _check_need(need, identity)


def _check_need(need: str, identity: Identity | None) -> None:
    kind, _, name = need.partition(":")
    if kind == "extension" and (identity is None or name not in identity.extensions):
        raise Refused(f"the extension {name} is missing on the target", hint=f"CREATE EXTENSION {name}")
    if kind == "program" and shutil.which(name) is None:
        raise Refused(f"the program {name} is missing here", hint="install it, or set PATH")


def _execute(
    desk: Desk, bound: Bound, prepared: Mapping[str, Any], supervisor: Supervisor, ahead: Workplace | None
) -> None:
    """Run the cells in a kernel of this run's own; nothing is left of one that may have changed something."""
    if supervisor.stopped_as:
        raise Interrupted("the run was stopped before its first cell")
    run_id = supervisor.staging.run_id
    supervisor.introduction = introduction(desk, bound, supervisor)
    supervisor.cell_seconds = bound.runbook.cell_timeout.total_seconds() if bound.runbook.cell_timeout else None
    supervisor.cancel = partial(_on_its_sessions, cancel_sessions, bound, run_id)
    workplace = ahead or _workplace(desk, supervisor)
    supervisor.kernel = workplace.kernel
    supervisor.journal("planned", cells=planned_cells(prepared))
    supervisor.earlier = Earlier(desk.archive, record_of(supervisor.staging.events))
    end = partial(_on_its_sessions, end_sessions, bound, run_id)
    try:
        execute(prepared, workplace.kernel, supervisor)
    finally:
        workplace.kernel.kill()
        supervisor.close()
        if ahead:
            ahead.leave(end)
        else:
            workplace.close(end)


def _on_its_sessions(act: Callable[[Login, str], int], bound: Bound, run_id: str) -> None:
    """Cancel or end what a run still does on its target; one that does not answer has lost the sessions by itself."""
    if bound.login:
        with suppress(OpsError):
            act(bound.login, application_name(bound.runbook.id, run_id))


def introduction(desk: Desk, bound: Bound, supervisor: Supervisor) -> dict[str, Any]:
    """What the kernel is told of its run; it holds passwords, and goes over the channel only."""
    return {
        "run_id": supervisor.staging.run_id,
        "runbook": bound.runbook.id,
        "hazard": bound.runbook.hazard.value,
        "target": bound.target.name,
        "login": bound.login.to_json() if bound.login else None,
        "reader": _reader(desk, bound, supervisor),
        "owner": bound.target.owner,
        "windows": list(bound.target.windows),
        "archive": str(desk.archive.absolute()),
    }


def _reader(desk: Desk, bound: Bound, supervisor: Supervisor) -> dict[str, Any] | None:
    """How a run that changes its target reads it: as one that only reads would."""
    if bound.login is None or bound.runbook.hazard is Hazard.READ_ONLY:
        return bound.login.to_json() if bound.login else None
    reader = desk.reach(bound.target, Hazard.READ_ONLY)
    if reader.password:
        supervisor.redactor.register(reader.password, PASSWORD)
    return reader.to_json()


def failed_cell(events: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The error of the cell that failed, as it was shown; errors of ours are shown with their hint apart."""
    ended = next((event for event in reversed(events) if event["kind"] == "cell-ended"), None)
    if ended is None or ended["status"] != CellStatus.FAILED:
        return None
    cell = ended["cell"]
    seen = [e["content"] for e in events if e["kind"] == "output" and e["cell"] == cell and e["type"] == "error"]
    content = seen[-1] if seen else {"ename": "Unknown", "evalue": "the cell failed and did not say why"}
    hint = next((line[len("hint: ") :] for line in content.get("traceback", ()) if line.startswith("hint: ")), None)
    message = content["evalue"].removesuffix(f": {hint}") if hint else content["evalue"]
    return {"type": content["ename"], "message": message, "hint": hint, "cell": cell}


def _stopped_error(runbook: Runbook, supervisor: Supervisor, error: dict[str, Any] | None) -> dict[str, Any]:
    outcome = supervisor.stopped_as or Outcome.INTERRUPTED
    message, hint = "the run was asked to stop", "run it again when the reason is gone"
    if outcome is Outcome.TIMED_OUT:
        cell = supervisor.stopped_in and runbook.cell_timeout
        whose, limit, name = ("a cell", cell, "cell_timeout") if cell else ("the run", runbook.timeout, "timeout")
        message = f"{whose} reached its deadline of {shown(limit)}"
        hint = f"see in which cell, and why; or raise {name}"
    cell_id = supervisor.stopped_in or (error or {}).get("cell")
    return {"type": outcome.value, "message": message, "hint": hint, "cell": cell_id}


def error_json(error: Exception) -> dict[str, Any]:
    if isinstance(error, OpsError):
        return {"type": type(error).__name__, "message": error.message, "hint": error.hint, "cell": None}
    return {"type": type(error).__name__, "message": str(error), "hint": None, "cell": None}


def _runbook_json(desk: Desk, runbook: Runbook) -> dict[str, Any]:
    path = Path(runbook.path).absolute()
    file = path.relative_to(desk.cwd) if path.is_relative_to(desk.cwd) else path
    return {
        "id": runbook.id, "title": runbook.title, "hazard": runbook.hazard.value, "owner": runbook.owner,
        "file": file.as_posix(), "sha256": runbook.sha256,
    }  # fmt: skip


def _target_json(bound: Bound, identity: Identity | None) -> dict[str, Any] | None:
    if not _needs_target(bound.runbook):
        return None
    return {
        "name": bound.target.name,
        "kind": bound.target.kind,
        "system_identifier": identity.system_identifier if identity else None,
        "database": identity.database if identity else None,
        "server_version": identity.server_version if identity else None,
        "guard": identity.guard.value if identity else None,
    }


def plain_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Bound parameters as a journal has them."""
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    """A typed value as JSON has it: what JSON lacks (dates, durations) as text."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else shown(value)
