"""Runs that resume others: which run is the newest of its chain, and what the runs before it have done."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import Records
from ops_lib.archive.staging import events_of, unfinished
from ops_lib.model.errors import BadInput
from ops_lib.model.ledger import EntryKind
from ops_lib.model.step import Past, Prior, steps_of

Events = Sequence[dict[str, Any]]


def successor(ledger: Ledger, run_id: str) -> str | None:
    """The run that took up another: the first whose intent says so. A later one found it taken, and did nothing."""
    wanted = f'"resumes":{json.dumps(run_id)}'.encode()
    for line in ledger.signed_lines():
        if wanted in line:
            entry = json.loads(line)
            if entry["kind"] == EntryKind.INTENT and entry["body"].get("resumes") == run_id:
                return str(entry["run_id"])
    return None


def newest_of(ledger: Ledger, run_id: str) -> str:
    """The last run of the chain that a run belongs to."""
    following = successor(ledger, run_id)
    return newest_of(ledger, following) if following else run_id


def journal_of(root: Path, run_id: str) -> Events:
    """What a run has journalled, sealed or not."""
    for folder in (root / "staging" / run_id, Records(root).folder_of(run_id)):
        if events := events_of(folder):
            return events
    raise BadInput(f"there is no journal of run {run_id}", hint="a record that was pruned cannot be taken up")


def past_of(root: Path, run_id: str | None, own: Events = ()) -> Past:
    """What a run goes on from that takes up another, and has journalled `own` itself before it had to wait."""
    journals: list[tuple[str, Events]] = []
    before = run_id
    while before:
        events = journal_of(root, before)
        journals.insert(0, (before, events))
        before = events[0].get("resumes")
    steps: dict[str, Prior] = {}
    mine = [(own[0]["run_id"], own)] if own else []
    for name, events in [*journals, *mine]:
        steps = steps_of(events, name, steps)
    everything = [event for _, events in [*journals, *mine] for event in events]
    reached = [event for event in everything if event["kind"] == "target" and event["target"]]
    return Past(
        chain=tuple(name for name, _ in journals),
        steps=steps,
        target=reached[0]["target"] if reached else None,
        requesters=frozenset(event["cause"]["who"] for event in everything if event["kind"] == "opened"),
        handoffs={event["id"]: event for event in everything if event["kind"] == "handoff"},
        sessions=tuple(dict.fromkeys(event["application_name"] for event in reached)),
    )


def find_run(root: Path, text: str) -> str:
    """The id of the run that a text names, sealed or not: an id, the unique end of one, or `last`."""
    wanted = text.upper()
    begun = [name for name in unfinished(root) if len(wanted) >= 4 and name.endswith(wanted)]
    return begun[0] if len(begun) == 1 else Records(root).find(text).name
