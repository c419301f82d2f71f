"""Whether an archive is what its ledger says: every digest recomputed, the first thing that does not fit named."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import PROOF, Records
from ops_lib.archive.staging import unfinished
from ops_lib.model.ledger import Entry, EntryKind, canonical, first_break, parse_line, sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that does not fit: a file of the archive, or an entry of its ledger."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where} {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a verification looked at and what did not fit, in the order in which it was met."""

    entries: int
    records: int
    unfinished: tuple[str, ...]
    faults: tuple[Fault, ...]


def verify_archive(root: Path) -> Verification:
    """Recompute the chain and every file of every record."""
    ledger = Ledger(root)
    lines = ledger.lines()
    broken = first_break(lines)
    if broken:
        fault = Fault(where=f"{ledger.path.name} entry {broken[0]}", what=broken[1])
        return Verification(entries=len(lines), records=0, unfinished=(), faults=(fault,))
    entries = [parse_line(line) for line in lines]
    results = {entry.run_id: entry for entry in entries if entry.kind == EntryKind.RESULT}
    waiting = unfinished(root)
    faults = [
        *_pairing_faults(entries, results, waiting),
        *(fault for run_id, entry in results.items() if run_id not in waiting for fault in _record_faults(root, entry)),
        *_stray_faults(root, results),
    ]
    return Verification(entries=len(lines), records=len(results), unfinished=tuple(waiting), faults=tuple(faults))


def verify_run(root: Path, folder: Path) -> Verification:
    """Recompute one record against its entry in the ledger."""
    entry = Ledger(root).of_run(folder.name, EntryKind.RESULT)
    if entry is None:
        fault = Fault(where=_relative(root, folder), what="has no result in the ledger")
        return Verification(entries=0, records=1, unfinished=(), faults=(fault,))
    return Verification(entries=1, records=1, unfinished=(), faults=tuple(_record_faults(root, entry)))


def _pairing_faults(entries: list[Entry], results: Mapping[str | None, Entry], waiting: list[str]) -> Iterator[Fault]:
    """An intent without a result and without a staged run was removed; a run has one intent and one result."""
    seen: set[tuple[str | None, str]] = set()
    for entry in entries:
        if entry.run_id is None:
            continue
        if (entry.run_id, entry.kind) in seen:
            yield Fault(where=f"ledger.jsonl entry {entry.seq}", what=f"repeats the {entry.kind} of {entry.run_id}")
        seen.add((entry.run_id, entry.kind))
        if entry.kind == EntryKind.INTENT and entry.run_id not in results and entry.run_id not in waiting:
            yield Fault(where=f"staging/{entry.run_id}", what="was begun and never sealed, and is gone")
        if entry.kind == EntryKind.RESULT and (entry.run_id, EntryKind.INTENT.value) not in seen:
            yield Fault(where=f"ledger.jsonl entry {entry.seq}", what=f"is a result of {entry.run_id} without intent")


def _record_faults(root: Path, entry: Entry) -> Iterator[Fault]:
    folder = Records(root).folder_of(str(entry.run_id))
    if not folder.is_dir():
        yield Fault(where=_relative(root, folder), what="is missing")
        return
    expected = {item["path"]: item for item in entry.body["files"]}
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    for path, item in expected.items():
        fault = _file_fault(folder / path, item)
        if fault:
            yield Fault(where=_relative(root, folder / path), what=fault)
    for path in sorted(present - expected.keys() - {PROOF}):
        yield Fault(where=_relative(root, folder / path), what="was added")
    fault = _proof_fault(folder / PROOF, entry)
    if fault:
        yield Fault(where=_relative(root, folder / PROOF), what=fault)


def _file_fault(path: Path, item: Mapping[str, Any]) -> str | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if path.is_symlink() or sha256(content) != item["sha256"] or len(content) != item["bytes"]:
        return "was changed"
    return None


def _proof_fault(path: Path, entry: Entry) -> str | None:
    try:
        proof = path.read_bytes()
    except OSError:
        return "is missing"
    expected = canonical({"schema": 1, "entry": entry.to_json()}) + b"\n"
    return None if proof == expected else "does not hold the entry of this record"


def _stray_faults(root: Path, results: Mapping[str | None, Entry]) -> Iterator[Fault]:
    for folder in Records(root).newest_first():
        if folder.name not in results:
            yield Fault(where=_relative(root, folder), what="is a record that the ledger does not know")


def _relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
