"""How a result shows itself: as text, as HTML for JupyterLab, and as JSON for the record.

The verdict always comes first. What a reader may rely on is the JSON; text and HTML are for eyes.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from ops_lib.model.finding import Finding
from ops_lib.model.result import MIME_TYPE, ROWS_SHOWN, Result, Table
from ops_lib.notebooks.rendering import environment, label, numeric_columns, stylesheet, value_text

WIDEST_CELL: Final = 60


def mimebundle(result: Result) -> dict[str, Any]:
    """Everything that a cell emits for a result, by MIME type; a picture travels as image/png in base64."""
    bundle: dict[str, Any] = {
        MIME_TYPE: result.to_json(),
        "text/html": html_of(result),
        "text/plain": text_of(result),
    }
    if result.picture:
        bundle["image/png"] = base64.b64encode(result.picture).decode("ascii")
    return bundle


def html_of(result: Result) -> str:
    """The result as HTML that carries its own style and needs nothing from outside."""
    picture = base64.b64encode(result.picture).decode("ascii") if result.picture else None
    body = result_html(result.to_json(), picture=picture)
    return f'<div class="rb"><style>{stylesheet("result.css")}</style>{body}</div>'


def result_html(
    result: Mapping[str, Any], *, picture: str | None = None, anchors: Mapping[str, str] | None = None
) -> Markup:
    """The JSON of a result as HTML without style. `anchors` are the places in a page that tell of a finding in full."""
    template = environment().get_template("result.html")
    return Markup(template.render(result=result, picture=picture, anchors=anchors or {}))  # noqa: S704 -- autoescaped


def results_in(notebook: Mapping[str, Any]) -> list[Result]:
    """The results that the cells of an executed notebook show, in order; what is no result of ours is passed over."""
    results = []
    for data in _bundles(notebook):
        try:
            results.append(Result.from_json(data[MIME_TYPE]))
        except (KeyError, TypeError, ValueError):
            continue
    return results


def text_of(result: Result) -> str:
    """The result as plain text, verdict first.

    >>> print(text_of(Result(title="Locks", verdict="Nobody waits.", table=Table.of(["pid"], [[1], [2]]))))
    Nobody waits.
    <BLANKLINE>
      pid
      ---
        1
        2
    """
    parts = [result.verdict if result.skipped is None else f"{result.verdict} Not asked: {result.skipped}"]
    parts += ["\n".join(lines) for lines in (_finding_lines(result.findings), _table_lines(result.table)) if lines]
    if result.notes:
        parts.append("\n".join(f"Note: {note}" for note in result.notes))
    if result.next_step:
        parts.append(f"Next: {result.next_step}")
    return "\n\n".join(parts)


def _bundles(notebook: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for cell in notebook.get("cells", []):
        for output in cell.get("outputs") or []:
            data = output.get("data")
            if isinstance(data, Mapping) and MIME_TYPE in data:
                yield data


def _finding_lines(findings: Sequence[Finding]) -> list[str]:
    lines = []
    for finding in findings:
        lines.append(f"{finding.severity.upper():8}  {finding.subject}  {finding.summary}")
        lines.append(f"{'':10}{finding.remedy.text}")
        lines += [f"{'':10}{line}" for line in (finding.remedy.sql or "").splitlines()]
    return lines


def _table_lines(table: Table | None) -> list[str]:
    if table is None or not table.columns:
        return []
    rows = table.rows[:ROWS_SHOWN]
    body = [[_cell(value, name) for value, name in zip(row, table.columns, strict=False)] for row in rows]
    titles = [label(name) for name in table.columns]
    widths = [max(map(len, column)) for column in zip(titles, *body, strict=False)]
    right = numeric_columns(rows, len(titles))
    lines = [_line(titles, widths, right), _line(["-" * width for width in widths], widths, right)]
    lines += [_line(row, widths, right) for row in body]
    return [*lines, f"  {len(rows)} of {table.total:,} rows"] if table.total > len(rows) else lines


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    placed = [
        cell.rjust(width) if number else cell.ljust(width)
        for cell, width, number in zip(cells, widths, right, strict=False)
    ]
    return ("  " + "  ".join(placed)).rstrip()


def _cell(value: object, name: str) -> str:
    text = " ".join(value_text(value, name).split())
    return text if len(text) <= WIDEST_CELL else text[: WIDEST_CELL - 1] + "…"
