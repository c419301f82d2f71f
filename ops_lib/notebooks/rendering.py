"""How values look: the formats and the template environment that a result in a cell and a report share."""

import functools
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import jinja2

from ops_lib.model.times import format_seconds

_TEMPLATES: Final = Path(__file__).parent / "templates"
_IDENTITY = re.compile(r"(^|_)(pid|oid|id|queryid|port|year|season|version)$")
_CODE = re.compile(r"(^|_)(query|sql|statement|definition|predicate|plan|condition)$")
_UNITS = {"ms": "ms", "s": "s", "mb": "MB", "gb": "GB", "kb": "kB", "pct": "%"}
NOTHING: Final = "—"


def value_text(value: object, name: str = "") -> str:
    """A JSON value as a person reads it in a table; `name` is its column, and says what must not be grouped.

    >>> value_text(1234567), value_text(1234567, "queryid"), value_text(0.012345), value_text(None)
    ('1,234,567', '1234567', '0.0123', '—')
    """
    match value:
        case None:
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case int():
            return str(value) if _IDENTITY.search(name) or abs(value) < 10_000 else f"{value:,}"
        case float():
            return _float_text(value)
        case str():
            return value
        case list() if all(isinstance(item, str | int | float) for item in value):
            return ", ".join(value_text(item, name) for item in value)
        case _:
            return json.dumps(value, ensure_ascii=False, default=str)


def _float_text(value: float) -> str:
    """Three significant digits, and all digits before the point."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 or value == 0 else f"{value:.1e}"


def label(name: str) -> str:
    """The name of a column or of a piece of evidence as words.

    >>> label("mean_ms"), label("total_mb"), label("n_distinct")
    ('mean (ms)', 'total (MB)', 'n distinct')
    """
    *words, last = name.split("_")
    if words and last in _UNITS:
        return f"{' '.join(words)} ({_UNITS[last]})"
    return " ".join([*words, last])


def is_code(name: str) -> bool:
    """Whether a column of this name holds SQL or a plan, to be shown in a fixed width."""
    return _CODE.search(name) is not None


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def numeric_columns(rows: Sequence[Sequence[Any]], width: int) -> list[bool]:
    """Which columns hold numbers only, and so are aligned to the right."""
    columns = [[row[place] for row in rows if place < len(row) and row[place] is not None] for place in range(width)]
    return [bool(values) and all(map(is_number, values)) for values in columns]


def as_table(value: object) -> dict[str, Any] | None:
    """A piece of evidence that is a list of rows, as columns and rows; nothing where it is none."""
    if not isinstance(value, list) or not value or not all(isinstance(row, Mapping) for row in value):
        return None
    columns = list(dict.fromkeys(str(name) for row in value for name in row))
    rows = [[row.get(name) for name in columns] for row in value[:20]]
    return {"columns": columns, "rows": rows, "total": len(value)}


def minute(at: str | None) -> str:
    """An instant of a record to the second, with its zone.

    >>> minute("2026-01-31T04:05:06.789Z")
    '2026-01-31 04:05:06 UTC'
    """
    if not at:
        return NOTHING
    try:
        return datetime.fromisoformat(at).strftime("%Y-%m-%d %H:%M:%S UTC")
    except ValueError:
        return at


def seconds_text(seconds: float | None) -> str:
    return NOTHING if seconds is None else format_seconds(seconds)


@functools.cache
def environment() -> jinja2.Environment:
    """The templates, with escaping always on and a missing name an error."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(value_text=value_text, label=label, minute=minute, seconds=seconds_text)
    found.tests.update(code_name=is_code, number=is_number)
    found.globals.update(as_table=as_table, numeric_columns=numeric_columns)
    return found


@functools.cache
def stylesheet(name: str) -> str:
    """A stylesheet of ours, without its comments and line breaks."""
    text = (_TEMPLATES / name).read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)).strip()
