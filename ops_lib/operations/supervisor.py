"""The supervisor of one run: everything that happens passes it, is cleaned of secrets, and is journalled.

It observes the kernel's cells, answers what the kernel asks over the step channel, and ends the run when it must.
"""

import base64
import hashlib
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ops_lib.archive.staging import Staging
from ops_lib.model.carry import Carry
from ops_lib.model.errors import BadInput
from ops_lib.model.journal import Event
from ops_lib.model.record import findings_of
from ops_lib.model.redaction import PASSWORD, Redactor
from ops_lib.model.run import CellStatus, Outcome
from ops_lib.model.shapes import passwords_in
from ops_lib.model.step import Past
from ops_lib.model.times import format_instant
from ops_lib.notebooks.floodgate import CUT
from ops_lib.notebooks.kernel import Kernel
from ops_lib.notebooks.outputs import cut_sentence
from ops_lib.operations.allowance import CELL_OUTPUT_LIMIT, Allowance, Meter
from ops_lib.operations.compare import Earlier
from ops_lib.operations.desk import Desk, Listener
from ops_lib.operations.gate import Gate
from ops_lib.operations.hand_off import Handoffs
from ops_lib.operations.hiding import hide_content, hide_event, hide_file
from ops_lib.operations.scratch_server import scratch_server
from ops_lib.operations.steps import Steps

KILL_AFTER_SECONDS = 5.0
SYNC_SECONDS = 0.1
"""Cells that end one soon after the other reach the disk together; what changes something is durable by itself."""

LONGEST_SECRET = 64 << 10
SHORTEST_LEARNED = 6
MOST_SECRETS = 1000
MOST_ATTACHMENTS = 1000
_ATTACHMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Supervisor:
    """Holds the journal of a run while it lives. Safe to call from any thread."""

    def __init__(self, desk: Desk, staging: Staging, redactor: Redactor, listener: Listener) -> None:
        self.staging = staging
        self.redactor = redactor
        self.kernel: Kernel | None = None
        self.introduction: Mapping[str, Any] = {}
        self.stopped_as: Outcome | None = None
        self.stopped_in: str | None = None
        self.earlier: Earlier | None = None
        self.stopping = threading.Event()
        self.cell_seconds: float | None = None
        self.before_step: Callable[[], None] = lambda: None
        self.cancel: Callable[[], None] = lambda: None
        self._desk, self._listener = desk, listener
        self.turn = threading.RLock()
        self.allowance = Allowance()
        self._carry = Carry(redactor)
        self._meter: Meter | None = None
        self._cell: str | None = None
        self._counted: Counter[str] = Counter()
        self._killer: threading.Timer | None = None
        self._limit: threading.Timer | None = None
        self._interrupted, self._synced = False, 0.0
        self.gate = Gate(self, desk)
        self.steps = Steps(self, desk.clock, self._before_step)
        self.handoffs = Handoffs(self)
        self._secrets = self._attached = 0

    def follow(self, past: Past, break_glass: str | None) -> None:
        """Go on from what other runs, or this one before it waited, have done."""
        self.steps.past = self.gate.past = self.handoffs.past = past
        self.gate.break_glass = break_glass

    def journal(self, kind: str, *, durable: bool = False, **details: Any) -> None:
        """Write down what happened, without secrets, and tell whoever listens."""
        with self.turn:
            self.write({"kind": kind, **hide_event(self.redactor, details)}, durable=durable)

    def write(self, event: Mapping[str, Any], *, durable: bool = False) -> None:
        """Store an event that is clean, with the number of secrets that were hidden since the one before."""
        with self.turn:
            kind, *rest = event.items()
            stored: Event = dict([kind, ("at", format_instant(self._desk.clock())), *rest])
            if found := self.redactor.hidden - self._counted:
                stored = {**stored, "hidden": dict(found)}
            self._counted = Counter(self.redactor.hidden)
            self.staging.append(stored, durable=durable)
        self._listener(stored)

    # What the engine reports.

    def cell_began(self, cell: str) -> None:
        with self.turn:
            self._settle()
            self._cell, self._meter = cell, Meter(self.allowance, CELL_OUTPUT_LIMIT)
            self.journal("cell-began", cell=cell)
            if self.cell_seconds:
                self._limit = _timer(self.cell_seconds, self.stop, Outcome.TIMED_OUT, in_=cell)

    def output(self, cell: str, kind: str, content: Mapping[str, Any]) -> None:
        """Keep an output, cleaned of secrets and within what one cell and one run may store.

        The end of a stream waits while it may be the beginning of a secret. Whatever is shown beside a stream lets it
        go, but a change of an earlier output does not: it does not part what was printed from what will be.
        """
        with self.turn:
            if kind == CUT:
                self._cut(content)
            elif kind == "stream":
                for name, text in self._carry.push(str(content["name"]), str(content["text"])):
                    self._keep(cell, kind, {"name": name, "text": text})
            else:
                if kind != "update_display_data":
                    self._let_go()
                self._keep(cell, kind, hide_content(self.redactor, content))

    def cell_ended(self, cell: str, status: CellStatus, seconds: float) -> None:
        with self.turn:
            if self._limit:
                self._limit.cancel()
            self._settle()
            now = self._desk.clock().timestamp()
            durable = now - self._synced > SYNC_SECONDS
            self._synced = now if durable else self._synced
            self.journal("cell-ended", durable=durable, cell=cell, status=status.value, seconds=round(seconds, 4))

    def _cut(self, said: Mapping[str, Any]) -> None:
        if self._meter:
            self._meter.said({"bytes": int(said["bytes"]), "sha256": str(said["sha256"])[:64]})

    def _keep(self, cell: str, kind: str, content: Mapping[str, Any]) -> None:
        meter = self._meter or Meter(self.allowance)
        kept = meter.take(kind, content)
        if kept is not None:
            self.write({"kind": "output", "cell": cell, "type": kind, "content": kept})

    def _let_go(self) -> None:
        for name, text in self._carry.flush():
            self._keep(self._cell or "", "stream", {"name": name, "text": text})

    def _settle(self) -> None:
        """Store what still waits of a cell that is over, and say what of it was cut."""
        self._let_go()
        if self._meter and (cut := self._meter.cut):
            text = cut_sentence(cut)
            self.write({"kind": "output", "cell": self._cell, "type": "stream", "content": _stderr(text)})
        self._cell = self._meter = None

    # What the kernel asks.

    def answer(self, question: str, details: Mapping[str, Any]) -> Any:
        """The answer to one question of the step channel."""
        answers: dict[str, Callable[..., Any]] = {
            "introduce": lambda: dict(self.introduction),
            "scratch": self._scratch,
            "undo": self._undo,
            "secret": self._secret,
            "statement": self._statement,
            "note": lambda text: self._tell("note", text=text),
            "attach": self._attach,
            "findings": self._findings,
            **self.steps.answers,
            "step-end": self._step_end,
            **self.gate.answers,
            **self.handoffs.answers,
            "seal": lambda: self.staging.run_id,
        }
        if question not in answers:
            raise BadInput(f"the supervisor does not know the question {question!r}")
        return answers[question](**details)

    def _statement(self, sql: str, seconds: float) -> None:
        """A statement was sent; a password in it is known from now on, also where the server repeats it."""
        for start, end in passwords_in(sql):
            if end - start >= SHORTEST_LEARNED:
                self._secret(sql[start:end].replace("''", "'"), PASSWORD)
        self._tell("statement", sql=sql, seconds=round(seconds, 4))

    def _tell(self, kind: str, **details: Any) -> None:
        """Journal what a cell tells, as long as a run has not told too much; `text` or `sql` is the telling part."""
        with self.turn:
            name = "sql" if "sql" in details else "text"
            kept = self.allowance.tell(self.redactor.json(str(details[name])))
            if kept is not None:
                self.write({"kind": kind, **details, name: kept})

    def _scratch(self, name: str | None) -> dict[str, Any] | None:
        login = scratch_server(self._desk, name) if name else self._desk.experiments()
        if login and login.password:
            self._secret(login.password, "password")
        return login.to_json() if login else None

    def _undo(self, text: str, parameters: Mapping[str, Any]) -> None:
        """Durable before the change: a run that is killed in it must still say how it is undone."""
        runbook = self.staging.events[0]["runbook"]["id"]
        self.journal("undo", durable=True, text=text, runbook=runbook, parameters=parameters)

    def _secret(self, value: str, kind: str = "secret") -> None:
        if not isinstance(value, str) or len(value) > LONGEST_SECRET:
            raise BadInput("a secret is a text of at most 64 KiB", hint="make known what of it is secret")
        with self.turn:
            self._secrets += 1
            if self._secrets > MOST_SECRETS:
                raise BadInput(f"more than {MOST_SECRETS} secrets were made known in this run")
            self.redactor.register(value, kind)

    def _attach(self, name: str, content: str) -> str:
        if not _ATTACHMENT.fullmatch(name):
            raise BadInput(f"{name!r} is no name for an attachment", hint="use letters, digits, dot, dash, underscore")
        raw = base64.b64decode(content)
        with self.turn:
            kept = hide_file(self.redactor, raw)
            self._charge_attachment(name, len(kept))
            stored = self._harmless_name(name)
            self.staging.attach(stored, kept)
            event = {"kind": "attachment", "name": stored, "bytes": len(kept)}
            self.write({**event, "sha256": hashlib.sha256(kept).hexdigest()})
        return stored

    def _charge_attachment(self, name: str, size: int) -> None:
        self._attached += 1
        if size > self.allowance.attachments or self._attached > MOST_ATTACHMENTS:
            left = f"{self.allowance.attachments} bytes of what one run may attach are left"
            raise BadInput(f"attachment {name} has {size} bytes", hint=left)
        self.allowance.attachments -= size

    def _harmless_name(self, name: str) -> str:
        """The name of a file, unless it is or holds a secret."""
        if self.redactor.text(name) == name:
            return name
        return f"hidden-{self._attached}{'.gz' if name.endswith('.gz') else ''}"

    def _findings(self) -> list[dict[str, Any]]:
        with self.turn:
            return [{**finding.to_json(), "weight": finding.weight} for finding in findings_of(self.staging.events)]

    def _before_step(self, name: str) -> None:
        """A step begins where its plan is approved and the run still has its target to itself."""
        self.gate.require(name)
        self.before_step()

    def _step_end(self, **told: Any) -> None:
        """What was to stop after its step stops now."""
        with self.turn:
            self.steps.end(**told)
            if self.stopped_as and not self.steps.acting:
                self._interrupt()

    # How a run is ended from outside.

    def stop(self, outcome: Outcome, *, now: bool = False, in_: str | None = None) -> None:
        """End the run: at its deadline at once, otherwise after the step that is going on; `now` waits for nothing.

        What is at once interrupted, its statements cancelled, and killed where it does not listen. `in_` is the cell
        whose own time was over.
        """
        with self.turn:
            first, self.stopped_as = self.stopped_as is None, self.stopped_as or outcome
            if first:
                self.stopped_in = in_
            self.stopping.set()
            if self.kernel is None:
                return
            steps = self.steps.acting
            waits = bool(steps) and outcome is Outcome.INTERRUPTED and not now
            if first:
                self.write({"kind": "stopping", "outcome": outcome.value, "after": steps[-1] if waits else None})
        if now:
            self.kernel.kill()
        elif not waits:
            self._interrupt()

    def _interrupt(self) -> None:
        """Once: a second interrupt would hit what the first one has begun to clean up."""
        with self.turn:
            if self._interrupted or self.kernel is None:
                return
            self._interrupted = True
            self._killer = _timer(KILL_AFTER_SECONDS, self.kernel.kill)
        self.kernel.interrupt()
        threading.Thread(target=self.cancel, daemon=True).start()

    def close(self) -> None:
        """The kernel is gone: nothing more arrives."""
        for timer in filter(None, (self._killer, self._limit)):
            timer.cancel()
        with self.turn:
            self._settle()
            if self.allowance.untold:
                self.journal("note", text=f"{self.allowance.untold} more statements and remarks were not kept.")


def _stderr(text: str) -> dict[str, str]:
    return {"name": "stderr", "text": text}


def _timer(seconds: float, action: Callable[..., None], *arguments: Any, **named: Any) -> threading.Timer:
    """An action that is taken later, unless it is cancelled; it keeps no process alive."""
    timer = threading.Timer(seconds, action, arguments, named)
    timer.daemon = True
    timer.start()
    return timer
