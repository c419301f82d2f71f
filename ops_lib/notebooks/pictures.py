"""Pictures, drawn from plain numbers without a window system: PNGs of about 640 by 300 points at twice the density.

Colours are from Okabe and Ito's set, and differ in lightness too, so that they hold for every eye and on paper.
Nothing here is imported until a picture is drawn: matplotlib takes a good part of a second.
"""

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ops_lib.model.drill import Drill
from ops_lib.model.times import format_seconds

BEFORE: Final = "#9aa5b1"
NOW: Final = "#d55e00"
INK: Final = "#24292f"
QUIET: Final = "#5c6470"
GRID: Final = "#e3e6ea"
LONGEST_LABEL: Final = 84
MOST_BARS: Final = 8
SHORTEST: Final = 1e-6
_BAR: Final = 0.28


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One bar pair: a mean time in seconds when it was well, and now. Either may be unknown."""

    label: str
    before: float | None
    now: float | None


def before_and_now(pairs: Sequence[Pair], *, before: str = "before", now: str = "now") -> bytes:
    """Mean times before and now as horizontal bars on a log scale, the worst change first as it was given."""
    shown = list(pairs[:MOST_BARS])
    figure = Figure(figsize=(6.4, 1.0 + 0.56 * len(shown)), dpi=200, layout="constrained")
    axes = figure.add_subplot()
    _time_axis(axes, [time for pair in shown for time in (pair.before, pair.now) if time])
    _bars(axes, [pair.before for pair in shown], -_BAR / 2, BEFORE, before)
    _bars(axes, [pair.now for pair in shown], _BAR / 2, NOW, now)
    _names(axes, [pair.label for pair in shown])
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=8.5, labelcolor=INK,
        borderaxespad=0.2, handlelength=1, handleheight=0.8,
    )  # fmt: skip
    return _png(figure)


def recovery(drills: Sequence[tuple[str, Drill]]) -> bytes | None:
    """How long recovery took, and how much was lost, in the drills that proved a backup; nothing for fewer than two."""
    proven = [(kind, drill) for kind, drill in drills if drill.proven and drill.loss is not None]
    if len(proven) < 2:
        return None
    figure = Figure(figsize=(6.4, 3.2), dpi=200, layout="constrained")
    for place, (name, value) in enumerate(_MEASURES.items(), start=1):
        axes = figure.add_subplot(2, 1, place)
        for kind, colour in zip(sorted({kind for kind, _ in proven}), (NOW, BEFORE, INK), strict=False):
            points = [(drill.at, value(drill)) for of, drill in proven if of == kind]
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, color=colour, label=kind)
        _trend_axes(axes, name)
    figure.axes[0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=8.5, labelcolor=INK)
    return _png(figure)


_MEASURES: Final[dict[str, Callable[[Drill], float]]] = {
    "recovery took": lambda drill: drill.recovery_seconds or 0.0,
    "would be lost": lambda drill: max(drill.loss.total_seconds(), 0.0) if drill.loss else 0.0,
}


def _trend_axes(axes: Any, name: str) -> None:
    """Times from zero up, so that a rise looks as large as it is."""
    axes.set_ylim(bottom=0)
    axes.set_ylabel(name, fontsize=8.5, color=QUIET)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda seconds, _: format_seconds(seconds)))
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.tick_params(axis="both", length=0, labelsize=8, labelcolor=QUIET)
    dates = AutoDateLocator(maxticks=6)
    axes.xaxis.set_major_locator(dates)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(dates))
    axes.xaxis.get_offset_text().set(size=8, color=QUIET)
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)


def _bars(axes: Any, times: Sequence[float | None], offset: float, colour: str, name: str) -> None:
    places, shortest = [place + offset for place in range(len(times))], axes.get_xlim()[0]
    lengths = [max(time or 0, shortest) for time in times]
    axes.barh(places, lengths, height=_BAR, color=colour, label=name, zorder=2)
    for place, length, time in zip(places, lengths, times, strict=True):
        axes.annotate(
            "not seen" if time is None else format_seconds(time), (length, place), xytext=(4, -0.5),
            textcoords="offset points", va="center", fontsize=8, color=QUIET if time is None else INK,
        )  # fmt: skip


def _names(axes: Any, labels: Sequence[str]) -> None:
    """What each pair is, above its bars, so that the bars have the whole width."""
    for place, text in enumerate(labels):
        axes.annotate(
            _clipped(text), (0, place - _BAR - 0.04), xycoords=("axes fraction", "data"), va="bottom", fontsize=8,
            color=INK, family="monospace", parse_math=False,
        )  # fmt: skip
    axes.set_yticks([])
    axes.set_ylim(len(labels) - 0.55, -0.75)


def _time_axis(axes: Any, times: Sequence[float]) -> None:
    """A log scale from a little below the shortest time; without a zero there, the bars' ends are labelled."""
    low = max(min(times, default=0.001) / 3, SHORTEST)
    axes.set_xscale("log")
    axes.set_xlim(low, max(max(times, default=1.0), low * 10) * 4)
    axes.xaxis.set_major_locator(LogLocator(base=10, numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: _tick(seconds)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", color=GRID, linewidth=0.8, zorder=0)
    axes.tick_params(axis="both", length=0, labelsize=8.5, labelcolor=QUIET, which="both")
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel("mean time of one call (log scale)", fontsize=8.5, color=QUIET)


def _tick(seconds: float) -> str:
    """A power of ten as a time.

    >>> _tick(0.00001), _tick(0.01), _tick(10), _tick(1000)
    ('10 µs', '10 ms', '10 s', '1000 s')
    """
    if seconds < 0.000_999:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1000:.0f} ms" if seconds < 0.999 else f"{seconds:.0f} s"


def _clipped(label: str) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in label).split())
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that the font lacks is drawn as a box
        FigureCanvasAgg(figure).print_png(content, metadata={"Software": None}, pil_kwargs={"optimize": True})
    return content.getvalue()
