"""The review that a broken glass is owed."""

from pathlib import Path

from ops_lib.archive.approvals import owed_reviews
from ops_lib.archive.chains import find_run, journal_of
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.signatures import sign
from ops_lib.model.errors import BadInput, Refused
from ops_lib.model.ledger import EntryKind, canonical
from ops_lib.model.people import names_of
from ops_lib.operations.approve import approver
from ops_lib.operations.desk import Desk
from ops_lib.operations.gate import demand_on


def review(desk: Desk, text: str, note: str, key: Path | None = None) -> str:
    """Enter into the ledger that somebody else has looked at what was done without approval; the run's id."""
    run_id = find_run(desk.archive, text)
    entries = owed_reviews(Ledger(desk.archive, desk.keys)).get(run_id)
    if entries is None:
        raise BadInput(f"run {run_id} is owed no review", hint="see: runbook waiting")
    if (desk.archive / "staging" / run_id).is_dir():
        raise Refused(f"run {run_id} is not over", hint="review it once it is sealed")
    signed = demand_on(desk, [*journal_of(desk.archive, run_id)]).signed
    who, how_known = approver(desk, key, signed=signed)
    if any(who in names_of(entry.who, desk.people) for entry in entries):
        raise Refused(f"{who} broke the glass in run {run_id}", hint="somebody else has to review it")
    said = {"run_id": run_id, "who": who, "note": note, "entries": [entry.seq for entry in entries]}
    body = {**said, "how_known": how_known, "signature": sign(canonical(said), key) if signed and key else None}
    Ledger(desk.archive, desk.keys).append(EntryKind.REVIEW, at=desk.clock(), run_id=run_id, who=who, body=body)
    return run_id
