"""How a comparison reads on a terminal, in at most 24 lines; JSON has all of it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ops_lib.model.comparison import Changed, Comparison, Moved, Side
from ops_lib.model.times import format_seconds
from ops_lib.model.verdict import plain

LINES: Final = 24
MOVED: Final = 0.2
_MARGIN: Final = 11
_DIGEST: Final = re.compile("[0-9a-f]{40,64}")


def render_comparison(comparison: Comparison, *, width: int = 100) -> list[str]:
    """What is different, what matters most first, each kind in as many lines as there is room for."""
    head = _head(comparison)
    sections = [lines for lines in _sections(comparison) if lines]
    if not sections:
        head.append("no difference in findings, metrics, parameters, settings and source")
    return [_clip(line, width) for line in [*head, *_fitted(sections, LINES - len(head))]]


def _head(comparison: Comparison) -> list[str]:
    sides = (("before", comparison.earlier), ("now", comparison.later))
    head = [f"{name:<{_MARGIN}}{_side(side)}" for name, side in sides]
    if comparison.same_findings:
        head.append(f"{'findings':<{_MARGIN}}the same")
    return head


def _side(side: Side) -> str:
    took = f" in {format_seconds(side.seconds)}" if side.seconds is not None else ""
    at = f", {side.ended_at[:16].replace('T', ' ')} UTC" if side.ended_at else ""
    return f"{side.run_id}  {plain(side.runbook)} on {plain(side.target or 'no target')}: {side.outcome}{took}{at}"


def _sections(comparison: Comparison) -> Iterator[list[str]]:
    """The lines of each kind of difference, without those that have none."""
    for name in ("new", "gone", "unseen"):
        yield [_row(name, f"{f['severity']}  {f['key']}  {f['summary']}") for f in getattr(comparison, name)]
    for name in ("worse", "better"):
        pairs = getattr(comparison, name)
        yield [_row(name, f"{before['severity']} -> {now['severity']}  {now['key']}") for before, now in pairs]
    yield [_row("cause", f"{b['cause']} -> {now['cause']}  {now['key']}") for b, now in comparison.other]
    yield _changed("runbook", comparison.runbook)
    yield _changed("parameter", comparison.parameters)
    yield _changed("setting", comparison.settings or {})
    yield [_row("database", _change(change)) for change in comparison.changes or ()]
    yield _metrics(comparison.metrics)
    yield [_row("source", line) for line in comparison.source[2:] if line[:1] in "+-" and line[1:].strip()]


def _row(name: str, text: str) -> str:
    return f"{name:<{_MARGIN}}{plain(text)}"


def _changed(name: str, values: Mapping[str, Changed]) -> list[str]:
    return [_row(name, f"{key}: {_shown(value.before)} -> {_shown(value.now)}") for key, value in values.items()]


def _shown(value: Any) -> str:
    """A value as it fits a line; a digest by its beginning.

    >>> _shown(None), _shown(""), _shown("d55c7475dac5ab694fce21e407af40cffbf8564297f8d83c76da70e07f629235")
    ('(none)', "''", 'd55c7475dac5')
    """
    text = "(none)" if value is None else str(value) or "''"
    return text[:12] if _DIGEST.fullmatch(text) else text


def _change(change: Mapping[str, Any]) -> str:
    values = f": {_shown(change['before'])} -> {_shown(change['after'])}" if change["before"] or change["after"] else ""
    return f"{change['kind']}  {change['subject']}{values}"


def _metrics(metrics: Mapping[str, Moved]) -> list[str]:
    """Those that moved by a fifth or more, the largest move first, and how many others there are."""
    order = sorted(metrics.items(), key=lambda item: -item[1].share)
    lines = [_row("metric", f"{name}: {_moved(moved)}") for name, moved in order if moved.share >= MOVED]
    little = len(metrics) - len(lines)
    return [*lines, *([_row("metric", f"{little} moved by less than {MOVED:.0%}")] if little else [])]


def _moved(moved: Moved) -> str:
    """A number before and now.

    >>> _moved(Moved(before=2.0, now=5.0, unit="ms"))
    '2 -> 5 ms (x2.5)'
    """
    ratio = f" (x{moved.ratio:.3g})" if moved.ratio is not None else ""
    return f"{moved.before:,.4g} -> {moved.now:,.4g} {moved.unit}{ratio}"


def _fitted(sections: list[list[str]], room: int) -> Iterator[str]:
    """The sections in at most `room` lines: the longest give way first, and each says how much it left out.

    >>> list(_fitted([["a"], ["b 1", "b 2", "b 3"]], 3))
    ['a', 'b 1', '           and 2 more (--json has all)']
    """
    kept = [len(lines) for lines in sections]
    while sum(kept) > room and max(kept) > 1:
        kept[len(kept) - 1 - kept[::-1].index(max(kept))] -= 1
    for lines, count in zip(sections, kept, strict=True):
        if count == len(lines):
            yield from lines
        else:
            shown = max(1, count - 1)
            yield from lines[:shown]
            yield f"{'':<{_MARGIN}}and {len(lines) - shown} more (--json has all)"


def _clip(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
