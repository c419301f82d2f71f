"""Tombstones: entries that say what was taken out of a record on purpose, so that it is not taken for damage.

A pruned run has no record any more. A redacted one has other files than its result says: the tombstone names each with
its digest before and after, and verification goes on from there, as strict as before.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from ops_lib.model.ledger import Entry

File = Mapping[str, Any]


class Action(StrEnum):
    """What was done to a record."""

    PRUNE = "prune"
    REDACT = "redact"


def redaction(reason: str, changes: Sequence[tuple[File, File]]) -> dict[str, Any]:
    """The body of a tombstone over files, each described as it was and as it is (path, sha256, bytes)."""
    described = [
        {"path": before["path"], "before": _digest(before), "after": _digest(after)} for before, after in changes
    ]
    return {"action": Action.REDACT.value, "reason": reason, "files": described}


def pruning(reason: str, result: Entry) -> dict[str, Any]:
    """The body of a tombstone over a whole record."""
    files = result.body["files"]
    return {
        "action": Action.PRUNE.value,
        "reason": reason,
        "record": result.body["record"],
        "files": len(files),
        "bytes": sum(item["bytes"] for item in files),
    }


def pruned(tombstones: Iterable[Entry]) -> bool:
    """Whether one of these entries says that the record was removed."""
    return any(entry.body["action"] == Action.PRUNE for entry in tombstones)


def expected_files(result: Entry, tombstones: Iterable[Entry]) -> dict[str, File]:
    """The files that a record has now, by path: those of its result, with every redaction since then.

    >>> was = {"path": "a.txt", "sha256": "00", "bytes": 9}
    >>> body = redaction("a password", [(was, {"path": "a.txt", "sha256": "ff", "bytes": 4})])
    >>> stamp = {"at": "", "run_id": "R", "who": "ana", "body_sha256": "", "prev_sha256": ""}
    >>> result = Entry(seq=1, kind="result", body={"files": [was]}, **stamp)
    >>> expected_files(result, [Entry(seq=2, kind="tombstone", body=body, **stamp)])
    {'a.txt': {'sha256': 'ff', 'bytes': 4}}
    """
    files: dict[str, File] = {item["path"]: _digest(item) for item in result.body["files"]}
    for entry in tombstones:
        if entry.body["action"] == Action.REDACT:
            files.update({item["path"]: item["after"] for item in entry.body["files"]})
    return files


def _digest(file: File) -> dict[str, Any]:
    return {"sha256": file["sha256"], "bytes": file["bytes"]}
