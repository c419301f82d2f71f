"""Where is the space? A table to read, without a judgement: growth is judged between snapshots."""

from collections.abc import Mapping, Sequence
from typing import Any

from ops_lib.model.result import Metric, Result, Table
from ops_lib.postgres.checks.evidence import Evidence

TITLE = "Where is the space?"

Rows = Sequence[Mapping[str, Any]]


def look(evidence: Evidence) -> Result:
    return judge(evidence.answer("sizes"))


def judge(rows: Rows) -> Result:
    """The largest tables; sizes are as of their last VACUUM or ANALYZE."""
    if not rows:
        return Result(title=TITLE, verdict="There is no table in this database.")
    whole = int(rows[0]["database_bytes"])
    shown = [
        (row["name"], *(size(row[part]) for part in ("table_bytes", "index_bytes", "toast_bytes")), row["rows"])
        for row in rows
    ]
    return Result(
        title=TITLE,
        verdict=f"The database takes {size(whole)}; its largest table is {rows[0]['name']} ({shown[0][1]},"
        f" and {shown[0][2]} of indexes).",
        table=Table.of(("table", "rows in", "indexes", "toast", "rows"), shown),
        metrics={"database_size": Metric(value=whole, unit="bytes")},
        notes=("sizes of tables are as of their last VACUUM or ANALYZE",),
    )


def size(number: float) -> str:
    """Bytes as a person says them.

    >>> size(0), size(8192), size(5_000_000)
    ('0 B', '8.0 KiB', '4.8 MiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.1f} {unit}" if unit != "B" else f"{number:.0f} B"
        number /= 1024
    return f"{number:.1f} TiB"
