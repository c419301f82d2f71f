"""The report of a run: one file that opens with the verdict, and holds everything that it shows."""

from collections.abc import Mapping, Sequence
from typing import Any

from ops_lib.model.verdict import Root, Verdict, verdict_of
from ops_lib.notebooks.display import results_in
from ops_lib.notebooks.rendering import environment, stylesheet
from ops_lib.notebooks.transcript import transcript

TARGET = ("name", "database", "server_version", "guard")
STATUSES = {"ok": "ok", "failed": "failed", "not-run": "not run", "skipped": "skipped"}


def render_report(record: Mapping[str, Any], notebook: Mapping[str, Any]) -> str:
    """The report of a record, schema 1, and of the notebook as it ran: HTML without script or outside reference."""
    verdict = verdict_of(record, results_in(notebook))
    anchors = _anchors(record["findings"])
    template = environment().get_template("report.html")
    return template.render(
        record=record,
        target=dict.fromkeys(TARGET) | (record.get("target") or {}),
        verdict=verdict,
        roots=[_root(root, anchors) for root in verdict.act],
        noted=[_root(root, anchors) for root in verdict.noted],
        since=record.get("since_last"),
        anchors=anchors,
        subjects={finding["key"]: finding["subject"] for finding in record["findings"]},
        cells=list(transcript(notebook, record["cells"], anchors)),
        handoffs=[{**handoff, "told": _told(handoff["message"])} for handoff in record["handoffs"]],
        counts=_counts(record["cells"]),
        statuses=STATUSES,
        failed_cell=_failed_cell(record, verdict),
        style=f"{stylesheet('result.css')} {stylesheet('report.css')}",
    )


def _anchors(findings: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Where in the page each finding is: by place, since a key may hold anything."""
    keys = [(finding["key"], f"{finding['check']}:{finding['subject']}") for finding in findings]
    return {key: f"finding-{place}" for place, both in enumerate(keys, start=1) for key in both}


def _root(root: Root, anchors: Mapping[str, str]) -> dict[str, Any]:
    symptoms = [{**symptom.to_json(), "anchor": anchors[symptom.key]} for symptom in root.symptoms]
    return {**root.finding.to_json(), "anchor": anchors[root.finding.key], "explained": symptoms}


def _told(message: Mapping[str, Any]) -> dict[str, Any]:
    """What a handoff says besides whose it is: its context, then what it asks for."""
    rest = {name: value for name, value in message.items() if name not in ("trigger", "from", "to", "context")}
    return {**message.get("context", {}), **rest}


def _counts(cells: Sequence[Mapping[str, Any]]) -> str:
    """How many cells ended in each way, in words.

    >>> _counts([{"status": "ok"}, {"status": "ok"}, {"status": "not-run"}])
    '2 ok, 1 not run'
    """
    found = [cell["status"] for cell in cells]
    return ", ".join(f"{found.count(name)} {word}" for name, word in STATUSES.items() if name in found)


def _failed_cell(record: Mapping[str, Any], verdict: Verdict) -> str | None:
    """The cell at which a run stopped, to point at; nothing where no cell is to blame."""
    cell = (record.get("error") or {}).get("cell")
    known = {item["id"] for item in record["cells"]}
    return cell if cell in known and verdict.outcome != "succeeded" else None
