"""Pruning: old records are removed, all but the last of each runbook on each target; their ledger entries stay."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ops_lib.archive.amendments import Amendments
from ops_lib.archive.files import explained_below
from ops_lib.archive.handoffs import handoffs
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import Records
from ops_lib.archive.verification import verify_archive
from ops_lib.model.errors import BadInput, DoesNotVerify
from ops_lib.model.ledger import EntryKind
from ops_lib.model.times import format_duration
from ops_lib.model.ulid import instant
from ops_lib.operations.desk import Desk
from ops_lib.operations.publish import publish_head


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An old record, how much it holds, and why it stays where it does."""

    run_id: str
    runbook: str
    target: str | None
    bytes: int
    stays: str | None


def prunable(desk: Desk, *, older_than: timedelta, keep_last: int) -> list[Candidate]:
    """The records that are older, the newest first; nothing is changed."""
    if keep_last < 1:
        raise BadInput(f"{keep_last} is no number of records to keep", hint="give --keep-last 1 or more")
    with explained_below(desk.archive):
        return _prunable(desk, older_than, keep_last)


def _prunable(desk: Desk, older_than: timedelta, keep_last: int) -> list[Candidate]:
    damaged = _damaged(desk)
    closed = {name for name, standing in handoffs(Ledger(desk.archive, desk.keys)).items() if not standing.owed}
    sizes = _sizes(desk)
    before = desk.clock() - older_than
    seen: Counter[tuple[str, str | None]] = Counter()
    found = []
    for run_id, record in _records(desk):
        group = (str(record["runbook"]["id"]), (record["target"] or {}).get("name"))
        seen[group] += 1
        if instant(run_id) < before and seen[group] > keep_last:
            stays = "does not verify" if run_id in damaged else _needed(record, closed)
            size = sizes.get(run_id, 0)
            found.append(Candidate(run_id=run_id, runbook=group[0], target=group[1], bytes=size, stays=stays))
    return found


def prune(desk: Desk, *, older_than: timedelta, keep_last: int) -> list[Candidate]:
    """Remove those that need not stay, and tell of these and of the others; a tombstone each says what was there.

    After a kill, the next command goes on; what somebody else has removed meanwhile is not told of.
    """
    candidates = prunable(desk, older_than=older_than, keep_last=keep_last)
    amendments = Amendments(desk.archive, desk.keys)
    reason = f"older than {format_duration(older_than)}, and {keep_last} newer ones are kept"
    gone = {
        candidate.run_id for candidate in reversed(candidates)
        if candidate.stays is None
        and not amendments.remove(candidate.run_id, reason=reason, at=desk.clock(), who=desk.who)
    }  # fmt: skip
    publish_head(desk)
    return [candidate for candidate in candidates if candidate.run_id not in gone]


def _records(desk: Desk) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What can be read of the records, the newest first; what cannot be read is never removed."""
    records = Records(desk.archive)
    for folder in records.newest_first():
        try:
            yield folder.name, records.read(folder)
        except BadInput as error:
            desk.warn(error.message)


def _needed(record: Mapping[str, Any], closed: Collection[str]) -> str | None:
    """Why a record must stay, or nothing; `closed` are the handoffs that are not owed any more."""
    if record.get("incident"):
        return f"incident {record['incident']} refers to it"
    owed = any(handoff.get("id") not in closed for handoff in record.get("handoffs") or ())
    return "it has an open handoff" if owed else None


def _damaged(desk: Desk) -> set[str]:
    """The records that do not verify; where the ledger itself does not, nothing is removed."""
    found = verify_archive(desk.archive)
    others = [fault for fault in found.faults if not fault.where.startswith("records/")]
    if others:
        raise DoesNotVerify(f"{desk.archive} does not verify: {others[0]}", hint="find out why before it is pruned")
    return {fault.where.split("/")[4] for fault in found.faults}


def _sizes(desk: Desk) -> dict[str, int]:
    """How much each record holds, by what the ledger says."""
    results = (entry for entry in Ledger(desk.archive).entries() if entry.kind == EntryKind.RESULT)
    return {str(entry.run_id): sum(item["bytes"] for item in entry.body["files"]) for entry in results}
