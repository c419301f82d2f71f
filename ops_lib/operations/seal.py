"""Sealing: from the journal of a run to its record."""

import json
import traceback
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from ops_lib.archive.files import explained_below
from ops_lib.archive.records import RECORD, Records
from ops_lib.archive.staging import Staging
from ops_lib.model.journal import last_pass
from ops_lib.model.record import record_of
from ops_lib.model.redaction import Redactor
from ops_lib.notebooks.cleaning import hide_in_page
from ops_lib.notebooks.execution import assemble
from ops_lib.operations.compare import Earlier, since_last
from ops_lib.operations.desk import Desk
from ops_lib.operations.hiding import NOTEBOOK, hide_again
from ops_lib.operations.known import redactor_for
from ops_lib.operations.publish import publish_head

__all__ = ["NOTEBOOK", "REPORT", "seal"]

REPORT = "report.html"
_DENSE = 1 << 20


def seal(
    desk: Desk, staging: Staging, redactor: Redactor | None = None, earlier: Earlier | None = None
) -> tuple[Path, dict[str, Any]]:
    """The folder and the record of a run whose journal is complete, or as complete as it will ever be.

    What the redactor knows by now is looked for once more in everything that is staged. `earlier` is where the run
    before is being looked for already.
    """
    with explained_below(desk.archive):
        return _seal(desk, staging, redactor or redactor_for(desk, None), earlier)


def _seal(desk: Desk, staging: Staging, redactor: Redactor, earlier: Earlier | None) -> tuple[Path, dict[str, Any]]:
    staging.clear_leftovers()
    hide_again(redactor, staging)
    record = record_of(staging.events)
    records = Records(desk.archive, desk.keys)
    record["since_last"] = redactor.json(since_last(desk.archive, record, staging.folder, earlier))
    notebook = assemble(json.loads(staging.read(NOTEBOOK)), last_pass(staging.events))
    staging.write(NOTEBOOK, _notebook_bytes(notebook))
    staging.write(REPORT, hide_in_page(_report(record, notebook), redactor.text).encode("utf-8", "replace"))
    folder = records.seal(staging, record, at=desk.clock(), who=desk.who)
    publish_head(desk)
    return folder, json.loads((folder / RECORD).read_bytes())


def _notebook_bytes(notebook: Mapping[str, Any]) -> bytes:
    """A notebook as Jupyter writes it, or where its outputs are large without the spaces, which would double them."""
    dense = json.dumps(notebook, ensure_ascii=False)
    text = dense if len(dense) > _DENSE else json.dumps(notebook, indent=1, ensure_ascii=False)
    return text.encode("utf-8", "replace") + b"\n"


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
