"""What a word of a runbook answers: a verdict, the rows behind it, a picture where it says more, and what to do next.

A result is shown as the last expression of its cell. It travels from the kernel to the record as JSON under our own
MIME type; the HTML beside it is for the eyes of a person in JupyterLab and is never read back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ops_lib.model.finding import Finding

MIME_TYPE = "application/vnd.ops-runbooks.result+json"
ROWS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Evidence as rows of plain JSON values; at most `ROWS_SHOWN` of them, with the total stated."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    total: int

    @classmethod
    def of(cls, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> "Table":
        return cls(columns=tuple(columns), rows=tuple(tuple(row) for row in rows[:ROWS_SHOWN]), total=len(rows))

    def to_json(self) -> dict[str, Any]:
        return {"columns": list(self.columns), "rows": [list(row) for row in self.rows], "total": self.total}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Table":
        rows = tuple(tuple(row) for row in data["rows"])
        return cls(columns=tuple(data["columns"]), rows=rows, total=data["total"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A measured number with its unit, comparable from run to run."""

    value: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The answer to one question of a runbook.

    `skipped` gives the reason where the question could not be asked; a skipped question is never good news.
    `picture` is a PNG. `notes` say what could not be seen and how sure the verdict is.
    """

    title: str
    verdict: str
    findings: tuple[Finding, ...] = ()
    table: Table | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    next_step: str | None = None
    skipped: str | None = None
    picture: bytes | None = None

    def to_json(self) -> dict[str, Any]:
        """All but the picture, which travels beside it as image/png."""
        return {
            "title": self.title,
            "verdict": self.verdict,
            "findings": [{**finding.to_json(), "weight": finding.weight} for finding in self.findings],
            "table": self.table.to_json() if self.table else None,
            "metrics": {name: {"value": m.value, "unit": m.unit} for name, m in self.metrics.items()},
            "notes": list(self.notes),
            "next_step": self.next_step,
            "skipped": self.skipped,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, picture: bytes | None = None) -> "Result":
        return cls(
            title=data["title"],
            verdict=data["verdict"],
            findings=tuple(Finding.from_json(item, weight=item["weight"]) for item in data["findings"]),
            table=Table.from_json(data["table"]) if data["table"] else None,
            metrics={name: Metric(**metric) for name, metric in data["metrics"].items()},
            notes=tuple(data["notes"]),
            next_step=data["next_step"],
            skipped=data["skipped"],
            picture=picture,
        )
