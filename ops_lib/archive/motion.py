"""Runs in motion: somebody seals, redacts or prunes one while the archive that it is in is verified."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ops_lib.archive.evidence import Fault, Verification
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import Records
from ops_lib.model.ulid import is_ulid

AMENDING = "amending"
_ROUNDS = 20
_NAME = re.compile(r"[0-7][0-9A-Z]{25}")


def settled(root: Path, found: Verification, judge: Callable[[set[str]], Iterable[Fault]]) -> Verification:
    """A verification without what was wrong with a run only because it was in motion.

    `judge` looks at some runs afresh. What it says of one counts once nothing has happened to that run meanwhile.
    """
    faults = {fault: run_of(fault) for fault in found.faults}
    judged: dict[str, object] = {}
    for _ in range(_ROUNDS):
        states = _states(root, {run for run in faults.values() if run})
        moved = {run for run, state in states.items() if judged.get(run) != state}
        if not moved:
            break
        judged |= states
        kept = {fault: run for fault, run in faults.items() if run not in moved}
        faults = kept | {fault: run_of(fault) for fault in judge(moved)}
    return replace(found, faults=tuple(faults))


def run_of(fault: Fault) -> str | None:
    """The run whose files a fault is about."""
    named = _NAME.search(fault.where) if fault.where.startswith(("records/", "staging/")) else None
    return named[0] if named and is_ulid(named[0]) else None


def _states(root: Path, run_ids: set[str]) -> Mapping[str, object]:
    """What is different of each run after somebody did anything with it."""
    entries: Counter[str] = Counter()
    for line in Ledger(root).lines() if run_ids else ():
        entries.update(set(_NAME.findall(line.decode(errors="replace"))) & run_ids)
    records = Records(root)
    return {
        run: (entries[run], *(place.exists() for place in (
            records.folder_of(run), root / "staging" / run, root / AMENDING / run
        )))
        for run in run_ids
    }  # fmt: skip
