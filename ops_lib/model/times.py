"""Durations and instants as this project writes them: `90s`, `15m`, `2h`, `7d`, and UTC in ISO 8601."""

import re
from datetime import UTC, datetime, timedelta

from ops_lib.model.errors import BadInput

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=36_500)
_DURATION = re.compile(r"(\d{1,6})([smhd])")


def parse_duration(text: str) -> timedelta:
    """The length of time that a text such as `15m` means.

    >>> parse_duration("90s"), parse_duration("2h")
    (datetime.timedelta(seconds=90), datetime.timedelta(seconds=7200))
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise BadInput(f"{text!r} is not a duration", hint="write it as 90s, 15m, 2h or 7d")
    length = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if length > _LONGEST:
        raise BadInput(f"{text!r} is too long", hint=f"at most {_LONGEST.days}d")
    return length


def format_duration(length: timedelta) -> str:
    """A duration in the largest unit that keeps it whole.

    >>> format_duration(timedelta(minutes=15)), format_duration(timedelta(seconds=90))
    ('15m', '90s')
    """
    seconds = int(length.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def format_seconds(seconds: float) -> str:
    """A measured time as a person says it.

    >>> format_seconds(0.0042), format_seconds(3.21), format_seconds(75), format_seconds(7322)
    ('4 ms', '3.2 s', '1 min 15 s', '2 h 2 min')
    """
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def format_instant(at: datetime) -> str:
    """An instant as it stands in records: UTC, milliseconds, `Z`.

    >>> format_instant(datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC))
    '2026-01-02T03:04:05.678Z'
    """
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_instant(text: str) -> datetime:
    """The instant that a text in ISO 8601 names; a text without a zone is UTC.

    >>> parse_instant("2026-01-02T03:04:05Z").isoformat()
    '2026-01-02T03:04:05+00:00'
    """
    try:
        at = datetime.fromisoformat(text.strip())
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput(f"{text!r} is not a time", hint="write it as 2026-01-31 or 2026-01-31T14:00:00Z") from None


def parse_since(text: str, now: datetime) -> datetime:
    """An instant, or a duration that is counted back from `now`.

    >>> parse_since("2h", datetime(2026, 1, 2, tzinfo=UTC)).isoformat()
    '2026-01-01T22:00:00+00:00'
    """
    if _DURATION.fullmatch(text.strip()):
        return now - parse_duration(text)
    return parse_instant(text)
