"""Cron expressions: which instants they name, above all where the clock is changed."""

from datetime import UTC, datetime
from itertools import islice

import pytest

from ops_lib.model.cron import parse_cron


def instants(text: str, after: datetime, count: int) -> list[str]:
    """The next instants in UTC, as day and time."""
    return [f"{at:%d %H:%M}" for at in islice(parse_cron(text).after(after), count)]


def test_a_time_that_the_clock_leaves_out_is_due_right_after_it() -> None:
    """01:30 does not exist in London on 29 March 2026; the clock goes on at 02:00, which is 01:00 UTC."""
    found = instants("30 1 * * * Europe/London", datetime(2026, 3, 28, 12, tzinfo=UTC), 2)
    assert found == ["29 01:00", "30 00:30"]


def test_a_time_that_the_clock_passes_twice_is_due_once() -> None:
    """01:30 comes twice in London on 25 October 2026."""
    found = instants("30 1 * * * Europe/London", datetime(2026, 10, 24, 12, tzinfo=UTC), 2)
    assert found == ["25 00:30", "26 01:30"]


def test_what_is_due_every_hour_is_due_in_both_hours() -> None:
    """An expression with a star follows the clock, also through an hour that comes twice."""
    found = instants("0 * * * * Europe/London", datetime(2026, 10, 24, 23, tzinfo=UTC), 3)
    assert found == ["25 00:00", "25 01:00", "25 02:00"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0 6 * * 1", "five fields and a time zone"),
        ("", "five fields and a time zone"),
        ("0 6 * * 1 Europe/Londn", "no time zone Europe/Londn"),
        ("0 6 * * 1 ../../etc/passwd", "no time zone"),
        ("61 6 * * 1 UTC", "Bad minute"),
        ("0 0 30 2 * UTC", "Bad day-of-month"),
    ],
)
def test_what_is_no_expression_is_refused(text: str, complaint: str) -> None:
    """Too few fields, an unknown zone, numbers out of range, days that never come."""
    with pytest.raises(ValueError, match=complaint):
        parse_cron(text)
