"""A record is a fold over the journal of its run."""

from typing import Any

from ops_lib.model.finding import Finding, Remedy, Severity
from ops_lib.model.record import record_of
from ops_lib.model.result import MIME_TYPE, Metric, Result

FIELDS = {
    "schema", "run_id", "resumes", "runbook", "outcome", "error", "cause", "reason", "ticket", "incident",
    "parameters", "target", "scheduled_for", "queued_at", "started_at", "ended_at", "software", "cells", "steps",
    "statements", "findings", "metrics", "since_last", "approvals", "handoffs", "undo", "hidden", "files",
}  # fmt: skip


def event(kind: str, second: int, **details: Any) -> dict[str, Any]:
    """An event of a journal."""
    return {"kind": kind, "at": f"2026-01-01T00:00:{second:02}.000Z", **details}


def opened() -> dict[str, Any]:
    """The event that begins every journal."""
    given = dict.fromkeys(("reason", "ticket", "target"))
    return event("opened", 0, run_id="R", runbook={"id": "SOP-004"}, cause={}, parameters={}, software={}, **given)


def planned() -> dict[str, Any]:
    """The event that names the cells."""
    return event("planned", 1, cells=[{"id": c, "heading": c.upper()} for c in "abc"])


def shown(cell: str, result: Result) -> dict[str, Any]:
    """The event of a result that a cell has shown."""
    return event("output", 3, cell=cell, type="display_data", content={"data": {MIME_TYPE: result.to_json()}})


def test_a_record_has_every_field_of_schema_1() -> None:
    """Nothing is left out, also where it does not apply."""
    assert record_of([opened()]).keys() == FIELDS


def test_a_journal_without_an_end_is_an_interrupted_run() -> None:
    """The cell that was running has failed where it was, later ones did not run."""
    record = record_of([
        opened(), planned(), event("cell-began", 2, cell="a"), event("cell-ended", 3, cell="a", status="ok", seconds=1),
        event("cell-began", 4, cell="b"),
    ])  # fmt: skip
    assert record["outcome"] == "interrupted"
    assert record["error"]["cell"] == "b"
    assert [cell["status"] for cell in record["cells"]] == ["ok", "failed", "not-run"]
    assert record["ended_at"] == "2026-01-01T00:00:04.000Z"


def test_findings_and_metrics_come_from_what_cells_have_shown() -> None:
    """The JSON of a result is read, and its findings are ranked over the whole run."""
    remedy = Remedy(text="Do something.")
    fields = {"check": "c", "cause": "missing-index", "summary": "s", "remedy": remedy}
    low = Finding(subject="low", severity=Severity.INFO, **fields)
    high = Finding(subject="high", severity=Severity.CRITICAL, **fields)
    first = Result(title="One", verdict="v", findings=(low,), metrics={"m": Metric(value=1, unit="s")})
    record = record_of(
        [opened(), planned(), shown("a", first), shown("b", Result(title="Two", verdict="v", findings=(high,)))]
    )
    assert [finding["subject"] for finding in record["findings"]] == ["high", "low"]
    assert record["metrics"] == {"m": {"value": 1, "unit": "s"}}


def test_a_step_that_did_not_end_is_unknown() -> None:
    """It is never taken for done."""
    record = record_of([
        opened(), event("step-began", 1, name="one"),
        event("step-ended", 2, name="one", status="done", seconds=1.0, evidence={"rows": 1}),
        event("step-began", 3, name="two"),
    ])  # fmt: skip
    assert [(step["name"], step["status"]) for step in record["steps"]] == [("one", "done"), ("two", "unknown")]
