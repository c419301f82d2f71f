"""Cron expressions with a time zone, and the instants that they name.

The rules are those of Debian's cron, daylight saving included: a fixed time that the clock leaves out is due right
after the change, one that the clock passes twice is due once, and `*` in minutes or hours follows the clock as it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """When something is due: five fields and the time zone in which they are meant."""

    expression: str
    zone: str

    def __str__(self) -> str:
        return f"{self.expression} {self.zone}"

    def after(self, at: datetime) -> Iterator[datetime]:
        """The instants after one, in order, in UTC; they are whole minutes.

        >>> next(parse_cron("30 1 * * * Europe/London").after(datetime(2026, 3, 29, tzinfo=UTC))).isoformat()
        '2026-03-29T01:00:00+00:00'
        """
        for local in CronSim(self.expression, at.astimezone(ZoneInfo(self.zone))):
            yield local.astimezone(UTC)

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """The instants after the first and not after the second."""
        for at in self.after(after):
            if at > until:
                return
            yield at


def parse_cron(text: str) -> Cron:
    """The expression that a text holds; ValueError says what is wrong with it.

    >>> str(parse_cron("0  6 * * 1 Europe/London"))
    '0 6 * * 1 Europe/London'
    >>> parse_cron("0 6 31 2 * UTC")
    Traceback (most recent call last):
    ValueError: Bad day-of-month
    """
    *fields, zone = text.split() or [""]
    if len(fields) != 5:
        raise ValueError("five fields and a time zone are expected")
    try:
        known = ZoneInfo(zone)
        CronSim(" ".join(fields), datetime(2000, 1, 1, tzinfo=known))
    except CronSimError as error:
        raise ValueError(str(error)) from None
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise ValueError(f"there is no time zone {zone}") from None
    return Cron(expression=" ".join(fields), zone=zone)
