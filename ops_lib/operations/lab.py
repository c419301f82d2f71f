"""A runbook in JupyterLab: the same words, the same supervisor, the same record.

    attend    the process that Jupyter takes for the kernel is the supervisor; the kernel is behind it
    begin     the first cell that is run declares the run: whoever only looks leaves no record
    seal      `seal()`, closing the kernel or its death makes the record

Where the supervisor is killed, its keeper ends the kernel, and the next command seals the run like any other.
"""

import copy
import json
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops_lib.archive.ledger import ajar
from ops_lib.archive.staging import Staging
from ops_lib.model import ulid
from ops_lib.model.errors import ArchiveUnwritable, BadInput, KernelDied, OpsError, Refused
from ops_lib.model.journal import Event, waits
from ops_lib.model.run import CellStatus, Outcome, Request
from ops_lib.notebooks.deviations import place
from ops_lib.notebooks.execution import planned_cells
from ops_lib.notebooks.stand_in import Execution, StandIn
from ops_lib.notebooks.working_copy import SEAL_CELL
from ops_lib.operations.desk import Desk
from ops_lib.operations.hiding import hide_content, hide_notebook
from ops_lib.operations.known import redactor_for
from ops_lib.operations.run import (
    Bound,
    bind_request,
    check_needs,
    declare,
    error_json,
    failed_cell,
    introduction,
)
from ops_lib.operations.seal import NOTEBOOK, seal
from ops_lib.operations.supervisor import Supervisor
from ops_lib.operations.turn import turn
from ops_lib.operations.workplace import Workplace
from ops_lib.postgres.connection import end_sessions
from ops_lib.postgres.session import application_name

STAYS_OPEN = "this run is sealed: restart the kernel to begin another"


def attend(desk: Desk, request: Request, connection: Mapping[str, Any]) -> None:
    """Be the kernel of one connection file of Jupyter's, until it ends; what was run is sealed."""
    bound = bind_request(desk, request)
    session = _Session(desk, request, bound, ulid.make(desk.clock(), desk.randomness(10)))
    try:
        session.serve(connection)
    finally:
        session.close()


@dataclass(slots=True)
class _Progress:
    """How far the person is: what ran under which id, and since when."""

    cells: dict[str, str] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)
    began: dict[str, float] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    last: str | None = None


class _Session:
    """The supervisor's side of one kernel; every call comes from the thread that serves it."""

    def __init__(self, desk: Desk, request: Request, bound: Bound, run_id: str) -> None:
        self._desk, self._request, self._bound, self._run_id = desk, request, bound, run_id
        self._redactor = redactor_for(desk, bound.login, bound.notebook)
        self._supervisor: Supervisor | None = None
        self._notebook: dict[str, Any] = {}
        self._progress = _Progress()
        self._over: str | None = None
        self._sealing = False
        self._held = ExitStack()
        self._workplace = Workplace(desk, run_id, self._answer)
        self._kernel = self._workplace.kernel
        self._stand_in: StandIn

    def serve(self, connection: Mapping[str, Any]) -> None:
        self._stand_in = StandIn(connection, self._kernel.start(), self._kernel.ended, self)
        try:
            why = self._stand_in.serve()
            if self._supervisor and not self._over:
                self._conclude(KernelDied("the kernel died", hint="see the last cell") if why == "died" else None)
        finally:
            self._stand_in.close()

    def close(self) -> None:
        """Nothing is left of the kernel."""
        self._workplace.close()
        self._held.close()

    # What Jupyter asks, as the stand-in tells it.

    def asked(self, execution: Execution) -> str | None:
        """Begins the run with its first cell."""
        if self._over:
            return self._over
        if self._supervisor is None and execution.cell != SEAL_CELL:
            try:
                self._begin()
            except OpsError as error:
                self._over = f"{error}: restart the kernel once that is mended"
        return self._over

    def began(self, execution: Execution) -> None:
        if self._supervisor is None or execution.cell == SEAL_CELL:
            return
        done = self._progress
        placed = place(self._notebook, execution.cell, execution.source, ran=done.newest, last=done.last)
        done.cells[execution.request] = placed.cell
        done.began[execution.request] = time.monotonic()
        done.newest[execution.cell or placed.cell] = done.last = placed.cell
        if placed.deviation:
            self._lay_open(placed.notebook)
        deviates = placed.deviation.value if placed.deviation else None
        self._supervisor.journal("source", cell=placed.cell, source=execution.source, deviates=deviates)
        self._supervisor.cell_began(placed.cell)

    def output(self, request: str, kind: str, content: Mapping[str, Any]) -> None:
        cell = self._progress.cells.get(request)
        if cell is None or self._supervisor is None or self._over:
            self._stand_in.publish(request, kind, self.cleaned(content))
            return
        if kind == "error":
            self._progress.failed.add(cell)
        self._supervisor.output(cell, kind, content)

    def ended(self, request: str) -> None:
        cell = self._progress.cells.get(request)
        if cell and self._supervisor and not self._over:
            status = CellStatus.FAILED if cell in self._progress.failed else CellStatus.OK
            self._supervisor.cell_ended(cell, status, time.monotonic() - self._progress.began[request])
        if cell and self._supervisor and self._supervisor.gate.waits and not waits(self._supervisor.staging.events):
            self._supervisor.journal("waiting", durable=True)
        if self._sealing and not self._over:
            folder = self._conclude(None)
            self._stand_in.publish(request, "stream", {"name": "stdout", "text": f"sealed: {folder}\n"})

    def cleaned(self, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is not stored is hidden too, but not counted among what was hidden in the record."""
        shadow = copy.copy(self._redactor)
        shadow.hidden = Counter()
        return hide_content(shadow, content) if shadow.knows_any else content

    def interrupt(self) -> None:
        self._kernel.interrupt()

    def _heard(self, event: Event) -> None:
        """What the supervisor stores of an output is what the browser gets."""
        if event["kind"] == "output":
            cells = self._progress.cells
            request = next((asked for asked, cell in reversed(cells.items()) if cell == event["cell"]), None)
            if request:
                self._stand_in.publish(request, event["type"], event["content"])

    # The run.

    def _begin(self) -> None:
        """Declare the run, and check what it needs; what is missing is a refusal, sealed without cells."""
        staging = Staging.create(self._desk.archive, self._run_id)
        supervisor = Supervisor(self._desk, staging, self._redactor, self._heard)
        supervisor.kernel = self._kernel
        supervisor.introduction = introduction(self._desk, self._bound, supervisor)
        self._notebook = dict(declare(self._desk, self._request, self._bound, supervisor, ajar))
        self._supervisor = supervisor
        try:
            check_needs(self._bound, supervisor)
            bound = self._bound
            self._held.enter_context(
                turn(self._desk, bound.runbook, bound.target, bound.login, supervisor, patient=False)
            )
            supervisor.journal("planned", cells=planned_cells(self._notebook))
        except OpsError as error:
            self._conclude(error)
            self._over = f"{error.message}: {STAYS_OPEN}"

    def _lay_open(self, notebook: dict[str, Any]) -> None:
        """Stage the notebook as it is now, before the cell that is not as reviewed runs."""
        assert self._supervisor
        self._notebook = notebook
        self._supervisor.staging.write(NOTEBOOK, json.dumps(hide_notebook(self._redactor, notebook)).encode())
        self._supervisor.journal("planned", cells=planned_cells(notebook))

    def _answer(self, question: str, details: Mapping[str, Any]) -> Any:
        """What the kernel asks; `seal` is asked of no other supervisor."""
        if self._supervisor is None or self._over:
            raise BadInput("no run goes on here", hint="run a cell of the runbook first, or restart the kernel")
        if question == "seal":
            self._sealing = True
            return self._run_id
        return self._supervisor.answer(question, details)

    def _conclude(self, error: OpsError | None) -> Path:
        """End the run and seal it; nothing runs in this kernel any more."""
        assert self._supervisor
        supervisor, self._over = self._supervisor, STAYS_OPEN
        if not self._sealing:
            self._kernel.kill()
        supervisor.close()
        try:
            if error is None and not self._sealing and waits(supervisor.staging.events):
                return self._leave(supervisor)
            supervisor.journal("ended", durable=True, **self._ending(error))
            folder, _ = seal(self._desk, supervisor.staging, self._redactor)
        except ArchiveUnwritable:
            supervisor.staging.close()
            raise
        finally:
            self._held.close()
            self._end_sessions()
        return folder

    def _leave(self, supervisor: Supervisor) -> Path:
        """A run that waits for an approval goes on without its kernel, once it has it."""
        supervisor.staging.close()
        return supervisor.staging.folder

    def _ending(self, error: OpsError | None) -> dict[str, Any]:
        """A person who says `seal()` is done, whatever was left out; who only closes is, once all of it ran."""
        assert self._supervisor
        if error:
            outcome = Outcome.REFUSED if isinstance(error, Refused) else Outcome.FAILED
            return {"outcome": outcome.value, "error": {**error_json(error), "cell": self._progress.last}}
        if failed := failed_cell(self._supervisor.staging.events):
            outcome = Outcome.REFUSED if failed["type"] == Refused.__name__ else Outcome.FAILED
            return {"outcome": outcome.value, "error": failed}
        left = {cell["id"] for cell in planned_cells(self._notebook)} - set(self._progress.cells.values())
        if self._sealing or not left:
            return {"outcome": Outcome.SUCCEEDED.value, "error": None}
        message = f"the kernel was closed before {len(left)} of its cells were run"
        told = {"type": Outcome.INTERRUPTED.value, "message": message, "hint": "say seal() when you are done"}
        return {"outcome": Outcome.INTERRUPTED.value, "error": {**told, "cell": self._progress.last}}

    def _end_sessions(self) -> None:
        if self._bound.login:
            try:
                end_sessions(self._bound.login, application_name(self._bound.runbook.id, self._run_id))
            except OpsError:
                return
