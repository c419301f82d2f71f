"""After a fault: a fresh process recovers, verifies, and holds the archive to what it had promised."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import Records
from ops_lib.archive.verification import Trust, verify_archive
from ops_lib.model.ledger import EntryKind, canonical, sha256
from ops_lib.operations.recover import Recovery, recover
from tests.crash import story

Promise = Mapping[str, Any]


def recover_archive(archive: Path) -> Recovery:
    """What the next command does before anything else."""
    return recover(story.desk(archive))


def broken(archive: Path, promised: list[Promise], *, base: bool = True) -> list[str]:
    """Everything that is not as it must be, in sentences; none is what every fault must lead to."""
    first, again = recover_archive(archive), recover_archive(archive)
    return [
        *(f"is not recovered: {run}: {why}" for run, why in first.failed.items()),
        *(f"recovered twice: {run}" for run in (*again.sealed, *again.failed)),
        *_verification(archive),
        *_leftovers(archive),
        *(_base(archive, promised) if base else ()),
        *(_search(archive) if (archive / "records").is_dir() else ()),
        *(fault for promise in promised if "promised" in promise for fault in _kept(archive, promise, promised)),
    ]


def _verification(archive: Path) -> Iterator[str]:
    found = verify_archive(archive, Trust(own=story.desk(archive).keys))
    yield from (f"does not verify: {fault}" for fault in found.faults)
    yield from (f"is not sealed: {run}" for run in found.unfinished)


def _leftovers(archive: Path) -> Iterator[str]:
    for name in ("staging", "amending"):
        folder = archive / name
        yield from (f"was left behind: {path.name}" for path in (folder.iterdir() if folder.is_dir() else ()))
    yield from (f"was left behind: {path.relative_to(archive)}" for path in archive.rglob(".*.part"))


def _base(archive: Path, promised: list[Promise]) -> Iterator[str]:
    """The records that were there before the story are still there; one may have been pruned by it."""
    began = {promise.get("began") for promise in promised}
    for number in range(story.BASE_RUNS):
        if number != story.PRUNED or "prune" not in began:
            yield from _readable(archive, story.run_id(number))


def _readable(archive: Path, run: str) -> Iterator[str]:
    kept = Records(archive)
    try:
        record = kept.read(kept.folder_of(run))
    except Exception as error:
        yield f"cannot be read: {run}: {error}"
        return
    if record["run_id"] != run:
        yield f"is another record: {run}"


def _search(archive: Path) -> Iterator[str]:
    """The index, made again where it was damaged, finds what there is and nothing else."""
    there = {folder.name for folder in Records(archive).newest_first()}
    found = story.found(archive)
    yield from (f"is not found by a search: {run}" for run in there - found)
    yield from (f"is found and is not there: {run}" for run in found - there)


def _kept(archive: Path, promise: Promise, promised: list[Promise]) -> Iterator[str]:
    """What is missing of one promise."""
    run = promise["run"]
    folder = Records(archive).folder_of(run)
    held = {
        "intent": lambda: Ledger(archive).of_run(run, EntryKind.INTENT) is not None,
        "event": lambda: promise["line"].encode() in _content(folder / "journal.jsonl"),
        "attachment": lambda: sha256(_content(folder / "attachments" / promise["name"])) == promise["sha256"],
        "record": lambda: sha256(canonical(json.loads(_content(folder / "record.json") or b"0"))) == promise["sha256"],
        "indexed": lambda: run in story.found(archive),
        "redacted": lambda: b"was taken out" in _content(folder / "attachments" / story.EVIDENCE[0]),
        "pruned": lambda: not folder.exists(),
    }
    if not held[promise["promised"]]():
        yield f"was promised and is lost: {promise['promised']} of {run} {promise.get('line', '')[:60]}"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


_OURS = {"ArchiveUnwritable", "IndexUnavailable"}


def explained(said: str, root: Path) -> list[str]:
    """An operation that could not write says so as an error of ours that names a path of the archive."""
    if not said:
        return []
    kind, _, message = said.splitlines()[0].partition(": ")
    refused = kind == "DoesNotVerify" and "cannot be read" in message
    return [] if refused or (kind in _OURS and str(root) in message) else [f"does not name the path: {said}"]
