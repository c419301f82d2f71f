"""The record of a run as a fold over its journal: record.json, schema 1.

A run that ended and one whose supervisor was killed are recorded by the same function from the same events, so a
record never says more than was journalled.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ops_lib.model.finding import Finding, ranked
from ops_lib.model.handoff import digest
from ops_lib.model.journal import Event, last_pass
from ops_lib.model.result import MIME_TYPE, Result
from ops_lib.model.run import CellStatus, Outcome, StepStatus

SCHEMA = 1


def record_of(events: Sequence[Event]) -> dict[str, Any]:
    """record.json without `files`, from the events of a journal that begins with `opened`.

    Without an `ended` event the run was interrupted.
    """
    events = last_pass(events)
    opened = events[0]
    ended = _last(events, "ended") or _abandoned(events)
    return {
        "schema": SCHEMA,
        "run_id": opened["run_id"],
        "resumes": opened.get("resumes"),
        "runbook": opened["runbook"],
        "outcome": ended["outcome"],
        "error": ended.get("error"),
        "cause": opened["cause"],
        "reason": opened["reason"],
        "ticket": opened["ticket"],
        "incident": None,
        "parameters": opened["parameters"],
        "target": (_last(events, "target") or opened)["target"],
        "scheduled_for": opened.get("scheduled_for"),
        "queued_at": opened["at"],
        "started_at": _began_at(events),
        "ended_at": ended["at"],
        "software": opened["software"],
        "cells": _cells((_last(events, "planned") or {"cells": []})["cells"], events),
        "steps": _steps(events),
        "statements": [_without_kind(event) for event in events if event["kind"] == "statement"],
        "findings": [finding.to_json() for finding in findings_of(events)],
        "metrics": _metrics(events),
        "since_last": ended.get("since_last"),
        "approvals": _approvals(events),
        "handoffs": [_handoff(event) for event in events if event["kind"] == "handoff"],
        "undo": _undo(events),
        "hidden": _hidden(events),
        "files": [],
    }


def _undo(events: Sequence[Event]) -> dict[str, Any] | None:
    """How what the run has done is undone, as it said last before it began."""
    said = _last(events, "undo")
    return {name: said[name] for name in ("text", "runbook", "parameters")} if said else None


def _began_at(events: Sequence[Event]) -> str | None:
    """When the first plan was made: cells that a person adds later make another."""
    return next((str(event["at"]) for event in events if event["kind"] == "planned"), None)


def _abandoned(events: Sequence[Event]) -> Event:
    """The end of a run that nobody ended: it is as long as its journal."""
    began, ended = _last(events, "cell-began"), _last(events, "cell-ended")
    running = began["cell"] if began and (ended is None or ended["cell"] != began["cell"]) else None
    error = {
        "type": Outcome.INTERRUPTED.value,
        "message": "the supervisor of this run died",
        "hint": _what_next(events),
        "cell": running,
    }
    return {"outcome": Outcome.INTERRUPTED.value, "at": events[-1]["at"], "error": error}


def _what_next(events: Sequence[Event]) -> str:
    if any(event["kind"] == "step-began" for event in events):
        return f"see which steps it has done, then: runbook resume {events[0]['run_id']}"
    return "run it again; what it had done so far is in this record"


def results_of(events: Iterable[Event]) -> list[Result]:
    """The results that the cells of a run have shown, in order."""
    passed = last_pass(list(events))
    bundles = (event["content"].get("data", {}) for event in passed if event["kind"] == "output")
    return [Result.from_json(bundle[MIME_TYPE]) for bundle in bundles if MIME_TYPE in bundle]


def findings_of(events: Iterable[Event]) -> list[Finding]:
    """The findings of a run so far, ranked."""
    return ranked(finding for result in results_of(events) for finding in result.findings)


def _metrics(events: Sequence[Event]) -> dict[str, dict[str, Any]]:
    return {
        name: {"value": metric.value, "unit": metric.unit}
        for result in results_of(events)
        for name, metric in result.metrics.items()
    }


def _cells(planned: Sequence[Event], events: Sequence[Event]) -> list[dict[str, Any]]:
    """Every code cell with its status; one that began and did not end has failed where it was."""
    began = {event["cell"]: event["at"] for event in events if event["kind"] == "cell-began"}
    ended = {event["cell"]: event for event in events if event["kind"] == "cell-ended"}

    def status(cell: str) -> str:
        if cell in ended:
            return str(ended[cell]["status"])
        return CellStatus.FAILED.value if cell in began else CellStatus.NOT_RUN.value

    return [
        {
            "id": cell["id"],
            "heading": cell["heading"],
            "status": status(cell["id"]),
            "started_at": began.get(cell["id"]),
            "seconds": ended.get(cell["id"], {}).get("seconds"),
            **_deviation(cell["id"], events),
        }
        for cell in planned
    ]


def _deviation(cell: str, events: Sequence[Event]) -> dict[str, str]:
    """How a cell that a person ran is not what was reviewed; nothing where it is, as in every headless run."""
    said = (event["deviates"] for event in events if event["kind"] == "source" and event["cell"] == cell)
    found = next(filter(None, said), None)
    return {"deviates": found} if found else {}


def _steps(events: Sequence[Event]) -> list[dict[str, Any]]:
    steps: dict[str, dict[str, Any]] = {}
    for event in events:
        if event["kind"] == "step-began":
            steps[event["name"]] = {
                "name": event["name"], "status": StepStatus.UNKNOWN.value, "started_at": event["at"],
                "seconds": None, "evidence": None,
            }  # fmt: skip
        elif event["kind"] == "step-ended":
            steps[event["name"]].update(status=event["status"], seconds=event["seconds"], evidence=event["evidence"])
        elif event["kind"] == "step-carried" and event["from"] != events[0]["run_id"]:
            steps[event["name"]] = {
                "name": event["name"], "status": StepStatus.CARRIED.value, "started_at": event["at"], "seconds": None,
                "evidence": {"from": event["from"], "how": event["how"], "was": event["evidence"]},
            }  # fmt: skip
        elif event["kind"] == "step-carried":
            _confirm(steps[event["name"]], event)
    return list(steps.values())


def _confirm(step: dict[str, Any], carried: Event) -> None:
    """A step of this same run, which waited or lost its kernel after it: it is done, however that is known."""
    if step["status"] != StepStatus.DONE:
        evidence = {"how": carried["how"], "was": carried["evidence"]}
        step.update(status=StepStatus.DONE.value, evidence=evidence)


def _approvals(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Every yes on which a run has passed its gates, each once."""
    found = {
        (item["digest"], item["who"], item["at"]): item
        for event in events if event["kind"] == "approved"
        for item in event["approvals"]
    }  # fmt: skip
    return list(found.values())


def _handoff(event: Event) -> dict[str, Any]:
    """A handoff as it was sealed, and so not acknowledged yet: what became of it stands in the ledger."""
    named = {name: event[name] for name in ("id", "trigger", "from", "to", "message")}
    return {**named, "sha256": digest(event["message"]), "made_in": event["made_in"], "acknowledged_at": None}


def _hidden(events: Sequence[Event]) -> dict[str, Any]:
    """How many secrets were hidden in what the run has stored, and of which kinds."""
    found: Counter[str] = Counter()
    for event in events:
        found.update(event.get("hidden", {}))
    return {"count": found.total(), "kinds": sorted(found)}


def _without_kind(event: Event) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key not in ("kind", "hidden")}


def _last(events: Sequence[Event], kind: str) -> Event | None:
    return next((event for event in reversed(events) if event["kind"] == kind), None)
