"""Maintenance windows: when a target may be changed, as `infrastructure/targets.yaml` says it.

    Tue 09:00-11:00 Europe/London
    Mon-Fri 22:00-02:00 UTC            over midnight: the days are those on which it opens
    daily 03:00-04:00 America/New_York

A time that the clock skips in spring opens where the clock goes on; one that it shows twice in autumn is open both
times.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ops_lib.model.errors import BadInput

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM = re.compile(r"(?P<days>\S+)\s+(?P<opens>\d{2}:\d{2})-(?P<closes>\d{2}:\d{2})\s+(?P<zone>\S+)")
_HINT = "write it as Tue 09:00-11:00 Europe/London, Mon-Fri 22:00-02:00 UTC, or daily 03:00-04:00 UTC"
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A time of day on some days of the week, in a zone; it closes on the next day where it ends before it opens."""

    text: str
    days: frozenset[int]
    opens: time
    closes: time
    zone: ZoneInfo

    def around(self, now: datetime) -> Iterable[tuple[datetime, datetime]]:
        """When it opens and closes, from the day before `now` to a week after."""
        today = now.astimezone(self.zone).date()
        for date in (today + number * _DAY for number in range(-1, 8)):
            if date.weekday() in self.days:
                ends = date + _DAY if self.closes <= self.opens else date
                opens = datetime.combine(date, self.opens, self.zone)
                closes = datetime.combine(ends, self.closes, self.zone).replace(fold=1)
                yield opens.astimezone(UTC), closes.astimezone(UTC)


def window_from(text: str) -> Window:
    """The window that a text describes; BadInput where it describes none.

    >>> sorted(window_from("Mon-Wed,Sun 22:00-02:00 UTC").days)
    [0, 1, 2, 6]
    """
    match = _FORM.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError
        opens, closes = time.fromisoformat(match["opens"]), time.fromisoformat(match["closes"])
        days = frozenset(day for part in match["days"].lower().split(",") for day in _days(part))
        zone = ZoneInfo(match["zone"])
    except (ValueError, ZoneInfoNotFoundError, OSError):
        raise BadInput(f"{text!r} is no maintenance window", hint=_HINT) from None
    if opens == closes:
        raise BadInput(f"{text!r} opens when it closes", hint=_HINT)
    return Window(text=text, days=days, opens=opens, closes=closes, zone=zone)


def _days(part: str) -> Iterable[int]:
    if part == "daily":
        return range(7)
    first, dash, last = part.partition("-")
    start = DAYS.index(first[:3])
    return [(start + number) % 7 for number in range((DAYS.index(last[:3]) - start) % 7 + 1)] if dash else [start]


def closes_at(windows: Sequence[str], now: datetime) -> datetime | None:
    """When the window that is open now closes; nothing where none is open.

    >>> closes_at(["Tue 09:00-11:00 Europe/London"], datetime(2026, 6, 2, 8, 30, tzinfo=UTC)).isoformat()
    '2026-06-02T10:00:00+00:00'
    """
    times = [each for text in windows for each in window_from(text).around(now)]
    return max((closes for opens, closes in times if opens <= now < closes), default=None)


def opens_at(windows: Sequence[str], now: datetime) -> datetime | None:
    """When the next window opens; nothing where there are no windows.

    >>> opens_at(["Tue 09:00-11:00 Europe/London"], datetime(2026, 6, 2, 10, 30, tzinfo=UTC)).isoformat()
    '2026-06-09T08:00:00+00:00'
    """
    times = (opens for text in windows for opens, _ in window_from(text).around(now))
    return min((opens for opens in times if opens > now), default=None)
