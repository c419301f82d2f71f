"""The story that is told to an archive while faults are injected: every write that counts, without a kernel.

What the archive has promised is written down outside of it, line by line, as each call returns: after any fault those
promises must hold. Times and ids are fixed, so that two tellings make the same system calls.
"""

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ops_lib.archive.indexing import consult, reindex, silent
from ops_lib.archive.staging import JOURNAL, Staging
from ops_lib.model import ulid
from ops_lib.model.errors import BadTarget
from ops_lib.model.journal import line_of
from ops_lib.model.ledger import canonical, sha256
from ops_lib.model.redaction import Redactor
from ops_lib.model.run import CellStatus, Outcome
from ops_lib.model.search import asked
from ops_lib.model.target import Hazard, Login, Target
from ops_lib.operations.desk import Desk, nobody
from ops_lib.operations.owner import this_process
from ops_lib.operations.prune import prune
from ops_lib.operations.redact import redact
from ops_lib.operations.run import declare_intent
from ops_lib.operations.seal import NOTEBOOK, seal
from ops_lib.operations.supervisor import Supervisor

BASE_RUNS = 3
PRUNED, REDACTED = 0, 1
EVIDENCE = ("evidence.txt", b"rows that prove it\n" * 40)
LIE = b"this was never said"
_START = datetime(2026, 1, 1, tzinfo=UTC)
_CELLS = [{"id": f"c{number}", "heading": f"Question {number}"} for number in range(2)]


class Clock:
    """A clock that a story winds: a second for each look at it."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def __call__(self) -> datetime:
        self._at += timedelta(seconds=1)
        return self._at


def archive_in(root: Path) -> Path:
    """Where the archive is below a root that also holds its keys."""
    return root / "outputs"


def run_id(number: int) -> str:
    """The id of run `number` of a story; each is a month after the one before."""
    return ulid.make(_START + timedelta(days=30 * number), bytes([number + 1] * 10))


def desk(archive: Path, number: int = BASE_RUNS) -> Desk:
    """A desk at the time of run `number`, whose targets cannot be reached."""
    return Desk(
        archive=archive,
        runbooks=(),
        targets={},
        default_target="none",
        who="ana",
        how_known="test",
        clock=Clock(_START + timedelta(days=30 * number)),
        randomness=bytes,
        reach=_unreachable,
        experiments=lambda: None,
        scratch=lambda run_id: Path("/nowhere") / run_id,
        environment={},
        configuration=archive.parent / "configuration",
    )


def _unreachable(target: Target, hazard: Hazard) -> Login:
    raise BadTarget(f"{target.name} cannot be reached")


class Promises:
    """What the archive has promised, kept in a file outside of it."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(self, **said: Any) -> None:
        """Write a line down, durably."""
        os.write(self._file, json.dumps(said).encode() + b"\n")
        os.fsync(self._file)

    @contextmanager
    def during(self, operation: str) -> Iterator[None]:
        """Everything that is done inside belongs to an operation."""
        self.note(began=operation)
        yield
        self.note(ended=operation)

    @staticmethod
    def read(path: Path) -> list[dict[str, Any]]:
        """What was promised."""
        return [json.loads(line) for line in path.read_bytes().splitlines()]


def prepare_base(archive: Path, promises: Promises) -> None:
    """An archive in which some runs are sealed, indexed, and old enough to be pruned."""
    for number in range(BASE_RUNS):
        run(desk(archive, number), promises, number)
    keep_index(desk(archive))


def tell(archive: Path, promises: Promises) -> None:
    """The whole story: a run from intent to seal, the index kept up and made again, a redaction, a prune."""
    at = desk(archive)
    run(at, promises, BASE_RUNS)
    with promises.during("index"):
        keep_index(at)
        reindex(at.archive, silent)
    promises.note(promised="indexed", run=run_id(BASE_RUNS))
    with promises.during("redact"):
        redact(at, run_id(REDACTED), reason="it held a name", paths=[f"attachments/{EVIDENCE[0]}"])
    promises.note(promised="redacted", run=run_id(REDACTED))
    with promises.during("prune"):
        gone = prune(at, older_than=timedelta(days=75), keep_last=1)
    for candidate in gone:
        if candidate.stays is None:
            promises.note(promised="pruned", run=candidate.run_id)


def tell_first(archive: Path, promises: Promises) -> None:
    """The first run of all: the archive is made, and the key that signs its heads."""
    run(desk(archive), promises, BASE_RUNS)


def run(at: Desk, promises: Promises, number: int) -> None:
    """One run, as `operations.run` has it, its cells and its kernel left out."""
    with promises.during("intent"):
        supervisor = _declare(at, promises, run_id(number))
    promises.note(promised="intent", run=run_id(number))
    with promises.during("journal"):
        _cells(supervisor, promises)
    with promises.during("seal"):
        supervisor.journal("ended", durable=True, outcome=Outcome.SUCCEEDED.value, error=None, hidden=None)
        promise_event(supervisor, promises)
        _, record = seal(at, supervisor.staging)
    promises.note(promised="record", run=run_id(number), sha256=sha256(canonical(record)))


def leave_torn(archive: Path, promises: Promises) -> None:
    """A run that dies while it journals: one line of its journal was damaged, the next is cut off."""
    supervisor = _declare(desk(archive), promises, run_id(BASE_RUNS))
    line = line_of({"kind": "note", "at": "2026-01-01T00:00:00.000Z", "text": "true"})
    with (supervisor.staging.folder / JOURNAL).open("ab") as journal:
        journal.write(line.replace(b"true", LIE) + line[:20])


def _declare(at: Desk, promises: Promises, run: str) -> Supervisor:
    staging = Staging.create(at.archive, run)
    supervisor = Supervisor(at, staging, Redactor(), nobody)
    cells = [
        {"cell_type": "code", "id": cell["id"], "metadata": {}, "source": "1", "outputs": [], "execution_count": None}
        for cell in _CELLS
    ]
    staging.write(NOTEBOOK, json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode())
    known = {"run_id": run, "owner": this_process(), "software": {"python": "3"}}
    supervisor.journal("opened", durable=True, **known, **opened())
    declare_intent(at, staging)
    promise_event(supervisor, promises)  # before its intent is signed for, a run has not begun
    return supervisor


def opened() -> dict[str, Any]:
    return {
        "runbook": {
            "id": "TST-001", "title": "A test", "hazard": "changes", "owner": "ana", "file": "tst-001.ipynb",
            "sha256": "0" * 64, "commit": None,
        },
        "cause": {"kind": "person", "who": "ana", "how_known": "test"},
        "reason": "a lock timeout in the middle of the night",
        "ticket": None,
        "parameters": {},
        "target": None,
    }  # fmt: skip


def _cells(supervisor: Supervisor, promises: Promises) -> None:
    supervisor.journal("planned", cells=_CELLS)
    supervisor.cell_began("c0")
    supervisor.output("c0", "stream", {"name": "stdout", "text": "hello\n" * 50})
    supervisor.answer("attach", {"name": EVIDENCE[0], "content": base64.b64encode(EVIDENCE[1]).decode()})
    promises.note(promised="attachment", run=supervisor.staging.run_id, name=EVIDENCE[0], sha256=sha256(EVIDENCE[1]))
    supervisor.cell_ended("c0", CellStatus.OK, 0.5)
    promise_event(supervisor, promises)
    supervisor.cell_began("c1")
    supervisor.answer("step-begin", {"name": "apply"})
    promise_event(supervisor, promises)
    promises.note(acted="apply")
    supervisor.answer("step-end", {"name": "apply", "status": "done", "evidence": {"rows": 3}})
    promise_event(supervisor, promises)
    supervisor.cell_ended("c1", CellStatus.OK, 0.5)
    promise_event(supervisor, promises)


def promise_event(supervisor: Supervisor, promises: Promises) -> None:
    """The last event of the journal was written durably, and so was everything before it."""
    event = supervisor.staging.events[-1]
    promises.note(promised="event", run=supervisor.staging.run_id, line=line_of(event).decode())


def keep_index(at: Desk) -> None:
    """Bring the index up to date."""
    consult(at.archive, lambda index: index.count())


def found(archive: Path) -> set[str]:
    """The runs that a search finds by words that every run of a story holds."""
    return consult(archive, lambda index: {summary.run_id for summary in index.search(asked("lock timeout"))})
