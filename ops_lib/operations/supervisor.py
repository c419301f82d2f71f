"""The supervisor of one run: everything that happens passes it, is cleaned of secrets, and is journalled.

It observes the kernel's cells, answers what the kernel asks over the step channel, and ends the run when it must.
"""

import base64
import gzip
import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ops_lib.archive.staging import Staging
from ops_lib.model.errors import BadInput, Refused
from ops_lib.model.ledger import canonical
from ops_lib.model.record import findings_of
from ops_lib.model.redaction import Redactor
from ops_lib.model.run import CellStatus, Outcome
from ops_lib.model.times import format_instant
from ops_lib.notebooks.kernel import Kernel
from ops_lib.operations.desk import Desk, Listener

OUTPUT_LIMIT = 32 << 20
CELL_OUTPUT_LIMIT = 8 << 20
ATTACHMENT_LIMIT = 32 << 20
KILL_AFTER_SECONDS = 5.0
_ATTACHMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Supervisor:
    """Holds the journal of a run while it lives. Safe to call from any thread."""

    def __init__(self, desk: Desk, staging: Staging, redactor: Redactor, listener: Listener) -> None:
        self.staging = staging
        self.redactor = redactor
        self.kernel: Kernel | None = None
        self.introduction: Mapping[str, Any] = {}
        self.stopped_as: Outcome | None = None
        self._desk = desk
        self._listener = listener
        self._turn = threading.RLock()
        self._allowance = OUTPUT_LIMIT
        self._cut: _Cut | None = None
        self._killer: threading.Timer | None = None
        self._steps: dict[str, float] = {}

    def journal(self, kind: str, *, durable: bool = False, **details: Any) -> None:
        """Write down what happened, without secrets, and tell whoever listens."""
        with self._turn:
            event = {"kind": kind, "at": format_instant(self._desk.clock()), **self.redactor.json(details)}
            self.staging.append(event, durable=durable)
        self._listener(event)

    # What the engine reports.

    def cell_began(self, cell: str) -> None:
        self._cut = _Cut(min(CELL_OUTPUT_LIMIT, self._allowance))
        self.journal("cell-began", cell=cell)

    def output(self, cell: str, kind: str, content: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What is kept of an output: cleaned of secrets; nothing beyond what one cell and one run may store."""
        cleaned: Mapping[str, Any] = self.redactor.json(content)
        encoded = canonical(cleaned)
        cut = self._cut or _Cut(0)
        if not cut.allows(encoded):
            return None
        self._allowance -= len(encoded)
        self.journal("output", cell=cell, type=kind, content=cleaned)
        return cleaned

    def cell_ended(self, cell: str, status: CellStatus, seconds: float) -> None:
        if self._cut and self._cut.dropped:
            text = self._cut.sentence()
            self.journal("output", cell=cell, type="stream", content={"name": "stderr", "text": text})
        self.journal("cell-ended", durable=True, cell=cell, status=status.value, seconds=round(seconds, 4))

    # What the kernel asks.

    def answer(self, question: str, details: Mapping[str, Any]) -> Any:
        """The answer to one question of the step channel."""
        answers: dict[str, Callable[..., Any]] = {
            "introduce": lambda: dict(self.introduction),
            "scratch": self._scratch,
            "secret": self._secret,
            "statement": lambda sql, seconds: self.journal("statement", sql=sql, seconds=round(seconds, 4)),
            "note": lambda text: self.journal("note", text=text),
            "attach": self._attach,
            "findings": self._findings,
            "step-begin": self._step_begin,
            "step-end": self._step_end,
        }
        if question not in answers:
            raise BadInput(f"the supervisor does not know the question {question!r}")
        return answers[question](**details)

    def _scratch(self) -> dict[str, Any] | None:
        login = self._desk.experiments()
        if login and login.password:
            self._secret(login.password, "password")
        return login.to_json() if login else None

    def _secret(self, value: str, kind: str = "secret") -> None:
        with self._turn:
            self.redactor.register(value, kind)

    def _attach(self, name: str, content: str) -> str:
        if not _ATTACHMENT.fullmatch(name):
            raise BadInput(f"{name!r} is no name for an attachment", hint="use letters, digits, dot, dash, underscore")
        raw = base64.b64decode(content)
        if len(raw) > ATTACHMENT_LIMIT:
            raise BadInput(f"attachment {name} has {len(raw)} bytes", hint=f"{ATTACHMENT_LIMIT} at the most are kept")
        kept = self._cleaned(name, raw)
        self.staging.attach(name, kept)
        self.journal("attachment", name=name, bytes=len(kept), sha256=hashlib.sha256(kept).hexdigest())
        return name

    def _cleaned(self, name: str, raw: bytes) -> bytes:
        if name.endswith(".gz"):
            return gzip.compress(self._cleaned(name[:-3], gzip.decompress(raw)), compresslevel=6, mtime=0)
        try:
            return self.redactor.text(raw.decode()).encode()
        except UnicodeDecodeError:
            return raw

    def _findings(self) -> list[dict[str, Any]]:
        with self._turn:
            return [{**finding.to_json(), "weight": finding.weight} for finding in findings_of(self.staging.events)]

    def _step_begin(self, name: str) -> None:
        """Journal the beginning of a step durably; only then may the kernel act."""
        if self.stopped_as:
            raise Refused(f"step {name!r} was not begun: the run is being stopped")
        if any(event["kind"] == "step-began" and event["name"] == name for event in self.staging.events):
            raise BadInput(f"step {name!r} was begun before in this run", hint="give each step a name of its own")
        self._steps[name] = self._desk.clock().timestamp()
        self.journal("step-began", durable=True, name=name)

    def _step_end(self, name: str, status: str, evidence: Any) -> None:
        seconds = round(self._desk.clock().timestamp() - self._steps.pop(name), 4)
        self.journal("step-ended", durable=True, name=name, status=status, seconds=seconds, evidence=evidence)

    # How a run is ended from outside.

    def stop(self, outcome: Outcome) -> None:
        """Interrupt the running cell, and kill the kernel where it does not listen. A second call kills at once."""
        with self._turn:
            again, self.stopped_as = self.stopped_as is not None, self.stopped_as or outcome
        if self.kernel is None:
            return
        if again:
            self.kernel.kill()
            return
        self.journal("stopping", outcome=outcome.value)
        self.kernel.interrupt()
        self._killer = threading.Timer(KILL_AFTER_SECONDS, self.kernel.kill)
        self._killer.daemon = True
        self._killer.start()

    def close(self) -> None:
        if self._killer:
            self._killer.cancel()


class _Cut:
    """Counts what one cell may still store, and what was dropped, with a digest of all of it."""

    def __init__(self, allowance: int) -> None:
        self._allowance = allowance
        self._digest = hashlib.sha256()
        self._bytes = 0
        self.dropped = 0

    def allows(self, encoded: bytes) -> bool:
        self._digest.update(encoded)
        self._bytes += len(encoded)
        if self._bytes <= self._allowance and not self.dropped:
            return True
        self.dropped += len(encoded)
        return False

    def sentence(self) -> str:
        return (
            f"\n[cut here: {self.dropped} of {self._bytes} bytes of this cell's output were not kept; "
            f"sha256 of all messages {self._digest.hexdigest()}]\n"
        )
