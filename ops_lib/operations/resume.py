"""Resuming: a notebook that did not succeed again from the top, in a new run, without the steps that ended."""

import json
from collections.abc import Mapping
from dataclasses import replace

from ops_lib.archive.chains import find_run, journal_of, newest_of, past_of
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import Records
from ops_lib.archive.verification import Trust, verify_run
from ops_lib.model.errors import BadInput, DoesNotVerify, Refused
from ops_lib.model.journal import waits
from ops_lib.model.run import Cause, Outcome
from ops_lib.model.step import Past, Settled, unknown_steps
from ops_lib.operations.desk import Desk, Listener, nobody
from ops_lib.operations.proceed import bind_again, proceed, request_again, waiting_run
from ops_lib.operations.run import Sealed, run
from ops_lib.operations.seal import NOTEBOOK


def resume(
    desk: Desk,
    text: str,
    settled: Mapping[str, Settled],
    cause: Cause,
    listener: Listener = nobody,
    *,
    reason: str | None = None,
    break_glass: str | None = None,
) -> Sealed:
    """Take up the newest run of the chain that a run belongs to; one that waits goes on as itself.

    Refused, with nothing recorded, where there is nothing to resume or something is not as it was.
    """
    run_id = newest_of(Ledger(desk.archive, desk.keys), find_run(desk.archive, text))
    events = journal_of(desk.archive, run_id)
    if (desk.archive / "staging" / run_id).is_dir():
        if not waits(events):
            raise Refused(f"run {run_id} goes on at this moment", hint="wait until it ends")
        return proceed(desk, waiting_run(desk, run_id), cause, listener, break_glass)
    _check_record(desk, run_id)
    past = past_of(desk.archive, run_id)
    _check_settled(past, settled)
    told = {"break_glass": break_glass, **({"reason": reason} if reason else {})}
    request = request_again(events[0], cause, **told)
    notebook = json.loads((Records(desk.archive).folder_of(run_id) / NOTEBOOK).read_bytes())
    bind_again(desk, request, events[0], notebook)
    return run(desk, request, listener, replace(past, settled=settled))


def _check_record(desk: Desk, run_id: str) -> None:
    """What a run goes on from has to be what was sealed, and has to have left something to do."""
    records = Records(desk.archive)
    faults = verify_run(desk.archive, records.folder_of(run_id), Trust(own=desk.keys)).faults
    if faults:
        raise DoesNotVerify(f"run {run_id} is not taken up: {faults[0]}", hint=f"see: runbook verify {run_id}")
    if records.read(records.folder_of(run_id))["outcome"] == Outcome.SUCCEEDED:
        raise Refused(f"run {run_id} has succeeded: there is nothing to resume", hint="run the runbook anew")


def _check_settled(past: Past, settled: Mapping[str, Settled]) -> None:
    """A person answers only for steps whose effect is in question."""
    asked = unknown_steps(past.steps)
    for name in settled:
        if name not in asked:
            known = ", ".join(asked) or "none"
            raise BadInput(f"step {name!r} is not in question", hint=f"in question: {known}")
