"""What an entry of each kind has to hold, so that those who read the ledger need not ask."""

from collections.abc import Mapping
from typing import Any

from ops_lib.model.handoff import NAMED
from ops_lib.model.ledger import Entry, EntryKind, parse_line
from ops_lib.model.tombstone import Action
from ops_lib.model.ulid import is_ulid

_YES = (EntryKind.APPROVAL, EntryKind.BREAK_GLASS)
_CLOSING = (EntryKind.ACKNOWLEDGEMENT, EntryKind.REJECTION)
_OF_RUNS = (EntryKind.INTENT, EntryKind.RESULT, EntryKind.TOMBSTONE, *_YES, EntryKind.DECLINE, EntryKind.REVIEW)


def understood(line: bytes) -> Entry:
    """The entry that a line holds; ValueError where it holds none, or not what one of its kind holds."""
    entry = parse_line(line)
    fault = misshapen(entry)
    if fault:
        raise ValueError(fault)
    return entry


def misshapen(entry: Entry) -> str | None:
    """What an entry lacks, or nothing.

    >>> stamp = {"seq": 0, "at": "", "who": "", "body_sha256": "", "prev_sha256": ""}
    >>> misshapen(Entry(kind="tombstone", run_id="01KDVDNA000000000000000000", body={}, **stamp))
    'does not say what was done'
    >>> misshapen(Entry(kind="intent", run_id="../../etc", body={}, **stamp))
    'does not name a run'
    """
    if entry.kind in _OF_RUNS and not (entry.run_id and is_ulid(entry.run_id)):
        return "does not name a run"
    if entry.kind == EntryKind.RESULT and not _files(entry.body.get("files"), _is_file):
        return "does not describe the files of a record"
    if entry.kind in _YES and not _is_yes(entry.body):
        return "does not say what was approved"
    if fault := _misshapen_handoff(entry):
        return fault
    if entry.kind == EntryKind.TOMBSTONE:
        return _misshapen_tombstone(entry.body)
    texts = ("runbook", "cause", "target") if entry.kind == EntryKind.INTENT else ()
    wrong = [name for name in texts if not isinstance(entry.body.get(name) or {}, Mapping)]
    return f"does not describe its {wrong[0]}" if wrong else None


def _is_yes(body: Mapping[str, Any]) -> bool:
    texts = ("digest", "kind", "expires_at", "how_known")
    return all(isinstance(body.get(name), str) for name in texts) and isinstance(body.get("bounds"), dict)


def _misshapen_handoff(entry: Entry) -> str | None:
    """What an entry lacks that makes a handoff owed, or ends that."""
    body = entry.body
    if entry.kind == EntryKind.RESULT and not _files(body.get("handoffs", []), _is_handoff):
        return "does not describe its handoffs"
    if entry.kind == EntryKind.HANDOFF and not (_is_handoff(body) and isinstance(body.get("message"), Mapping)):
        return "does not describe its handoff"
    closed = entry.kind not in _CLOSING or (isinstance(body.get("id"), str) and isinstance(body.get("how_known"), str))
    return None if closed else "does not name a handoff"


def _is_handoff(item: Mapping[str, Any]) -> bool:
    return all(isinstance(item.get(name), str) for name in NAMED)


def _misshapen_tombstone(body: Mapping[str, Any]) -> str | None:
    if body.get("action") == Action.PRUNE:
        return None
    if body.get("action") == Action.REDACT:
        return None if _files(body.get("files"), _is_change) else "does not describe what was taken out"
    return "does not say what was done"


def _files(items: Any, is_one: Any) -> bool:
    return isinstance(items, list) and all(isinstance(item, Mapping) and is_one(item) for item in items)


def _is_file(item: Mapping[str, Any]) -> bool:
    return isinstance(item.get("path"), str) and isinstance(item.get("sha256"), str) and type(item.get("bytes")) is int


def _is_change(item: Mapping[str, Any]) -> bool:
    before, after = item.get("before"), item.get("after")
    both = isinstance(before, Mapping) and isinstance(after, Mapping)
    return both and isinstance(item.get("path"), str) and isinstance(after.get("sha256"), str)  # type: ignore[union-attr]
