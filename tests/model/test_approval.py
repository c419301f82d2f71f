"""What a target demands, how long a yes holds, and what a bound lets through."""

from datetime import UTC, datetime, timedelta

import pytest

from ops_lib.model.approval import LONGEST, VALID, Bound, Demand, Kind, bound_from, demand_of, expiry
from ops_lib.model.errors import BadInput
from ops_lib.model.target import Target

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_what_a_target_demands() -> None:
    """Production one, signed; a number where it is given; a connection string what the strictest demands."""
    named = {"prod": Target(name="prod", service="p", production=True), "two": Target(name="two", dsn="x", approvals=2)}
    assert demand_of(named["prod"], named) == Demand(approvals=1, signed=True)
    assert demand_of(named["two"], named) == Demand(approvals=2, signed=False)
    assert demand_of(Target(name="demo", embedded=True), {}) == Demand()
    assert demand_of(Target(name="prod", dsn="host=y"), named) == Demand(approvals=2, signed=True)


def test_an_approval_ends() -> None:
    """After eight hours, or as said, and never later than a week."""
    assert expiry(NOW, None, Kind.ONCE) == NOW + VALID
    with pytest.raises(BadInput):
        expiry(NOW, LONGEST + timedelta(seconds=1), Kind.ONCE)
    with pytest.raises(BadInput):
        expiry(NOW, timedelta(0), Kind.STANDING)


@pytest.mark.parametrize(("text", "now"), [("1..x", 1), ("a,b", 3), ("1..2", "a"), ("", "a"), ("1..2", True)])
def test_a_bound_that_means_nothing(text: str, now: object) -> None:
    """A bound has to fit the kind of its parameter."""
    with pytest.raises(BadInput):
        bound_from(text, now)


def test_a_bound_holds_for_its_own_kind_only() -> None:
    """True is no number, and text is no list."""
    assert not Bound(least=0, most=2).holds(True)
    assert Bound(least=0, most=2).holds(2)
    assert not Bound(one_of=("1",)).holds(1)
