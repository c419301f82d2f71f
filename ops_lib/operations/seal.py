"""Sealing: from the journal of a run to its record."""

import json
import traceback
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from ops_lib.archive.records import Records
from ops_lib.archive.staging import Staging
from ops_lib.model.comparison import since_last
from ops_lib.model.record import record_of
from ops_lib.model.run import Outcome
from ops_lib.notebooks.execution import assemble
from ops_lib.operations.desk import Desk

NOTEBOOK, REPORT = "notebook.ipynb", "report.html"
_LOOK_BACK = 500


def seal(desk: Desk, staging: Staging) -> tuple[Path, dict[str, Any]]:
    """The folder and the record of a run whose journal is complete, or as complete as it will ever be."""
    staging.clear_leftovers()
    record = record_of(staging.events)
    records = Records(desk.archive)
    if record["outcome"] == Outcome.SUCCEEDED:  # what a run did not get to see is not gone
        record["since_last"] = since_last(_previous(records, record), record)
    notebook = assemble(json.loads(staging.read(NOTEBOOK)), staging.events)
    staging.write(NOTEBOOK, json.dumps(notebook, indent=1, ensure_ascii=False).encode() + b"\n")
    staging.write(REPORT, _report(record, notebook).encode())
    folder = records.seal(staging, record, at=desk.clock(), who=desk.who)
    return folder, records.read(folder)


def _previous(records: Records, record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The newest earlier record of the same runbook on the same target that ran to its end."""
    for number, folder in enumerate(records.newest_first()):
        if number == _LOOK_BACK:
            return None
        earlier = records.read(folder)
        if earlier["outcome"] != Outcome.SUCCEEDED or not earlier["target"] or not record["target"]:
            continue
        if earlier["runbook"]["id"] == record["runbook"]["id"]:
            same = ("system_identifier", "database", "name")
            if all(earlier["target"][key] == record["target"][key] for key in same):
                return earlier
    return None


def _report(record: Mapping[str, Any], notebook: Mapping[str, Any]) -> str:
    """The report; where it cannot be rendered, a plain page that says so, since a run is always sealed."""
    try:
        from ops_lib.notebooks.report import render_report  # noqa: PLC0415

        return render_report(record, notebook)
    except Exception:
        reason = escape(traceback.format_exc(limit=-3))
        return (
            "<!doctype html><meta charset=utf-8><title>Report</title>"
            f"<h1>{escape(record['runbook']['title'])}: {escape(record['outcome'])}</h1>"
            f"<p>The report could not be rendered; record.json and notebook.ipynb are whole.</p><pre>{reason}</pre>"
        )
