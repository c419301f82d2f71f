"""Binding: every way to give a parameter, and every way to give it wrongly."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_lib.model.errors import BadParameter
from ops_lib.model.parameter import Kind, Parameter, bind

WINDOW = Parameter(name="window_minutes", kind=Kind(base="int"), help="", default=30, low=1, high=1440)
SCHEMA = Parameter(name="schema", kind=Kind(base="str"), help="")


def one(base: str, value: object, **kind: object) -> object:
    """The value that a single parameter of this kind takes."""
    parameter = Parameter(name="it", kind=Kind(base=base, **kind), help="")
    return bind([parameter], {"it": value})["it"]


@pytest.mark.parametrize(
    ("base", "given_value", "typed"),
    [
        ("str", "30", "30"),
        ("str", "", ""),
        ("str", 'it\'s = "all" text\n', 'it\'s = "all" text\n'),
        ("int", "90", 90),
        ("int", "-5", -5),
        ("int", 7, 7),
        ("float", "0.25", 0.25),
        ("float", 3, 3.0),
        ("float", "1e3", 1000.0),
        ("bool", "true", True),
        ("bool", "No", False),
        ("bool", False, False),
        ("date", "2026-01-31", date(2026, 1, 31)),
        ("datetime", "2026-01-31T04:00:00Z", datetime(2026, 1, 31, 4, tzinfo=UTC)),
        ("datetime", "2026-01-31T04:00:00+02:00", datetime(2026, 1, 31, 2, tzinfo=UTC)),
        ("datetime", "2026-01-31 04:00", datetime(2026, 1, 31, 4, tzinfo=UTC)),
        ("timedelta", "15m", timedelta(minutes=15)),
    ],
)
def test_text_and_values_become_typed(base, given_value, typed):
    """What a person types and what JSON holds become the same typed value."""
    found = one(base, given_value)
    assert found == typed
    assert type(found) is type(typed)


@pytest.mark.parametrize(
    ("base", "given_value"),
    [
        ("str", 30),
        ("str", None),
        ("str", "a\0b"),
        ("str", "\udcff"),
        ("int", "30.0"),
        ("int", 30.0),
        ("int", "thirty"),
        ("int", True),
        ("int", "1_000"),
        ("int", "9" * 5000),
        ("int", 2**70),
        ("int", ""),
        ("float", "nan"),
        ("float", "-inf"),
        ("float", float("nan")),
        ("float", "1_0.0"),
        ("bool", "maybe"),
        ("bool", 1),
        ("date", "2026-02-30"),
        ("date", "31.01.2026"),
        ("date", datetime(2026, 1, 1, tzinfo=UTC)),
        ("datetime", "tomorrow"),
        ("datetime", 0),
        ("timedelta", "15"),
        ("timedelta", "15 minutes"),
        ("timedelta", 900),
    ],
)
def test_ill_typed_is_refused(base, given_value):
    """A value of another type is refused, with the form that is expected and what was found."""
    with pytest.raises(BadParameter, match=r"it takes .*, not "):
        one(base, given_value)


def test_lists_come_as_commas_or_json():
    """A list is written with commas on the command line, or as JSON."""
    text = Kind(base="str")
    assert one("list", "raw, mart", item=text) == ["raw", "mart"]
    assert one("list", '["a,b", "c"]', item=text) == ["a,b", "c"]
    assert one("list", ["raw"], item=text) == ["raw"]
    assert one("list", "", item=text) == []
    with pytest.raises(BadParameter):
        one("list", "1,two", item=Kind(base="int"))
    with pytest.raises(BadParameter):
        one("list", "[1, 2", item=Kind(base="int"))


def test_literals_take_one_of_their_choices():
    """A choice may be text or a number; anything else names the choices."""
    assert one("Literal", "mart", choices=("raw", "mart")) == "mart"
    assert one("Literal", "2", choices=(1, 2)) == 2
    with pytest.raises(BadParameter, match="one of raw, mart, not 'Raw'"):
        one("Literal", "Raw", choices=("raw", "mart"))
    with pytest.raises(BadParameter):
        one("Literal", True, choices=(1, 2))


def test_optional_takes_none():
    """An optional parameter takes the word none, and null."""
    assert one("int", "none", optional=True) is None
    assert one("int", None, optional=True) is None
    assert one("int", "3", optional=True) == 3


def test_default_is_used_and_never_shared():
    """A default that is a list is a new list for every run."""
    schemas = Parameter(name="schemas", kind=Kind(base="list", item=Kind(base="str")), help="", default=["raw"])
    first, second = bind([schemas], {}), bind([schemas], {})
    assert first == second == {"schemas": ["raw"]}
    assert first["schemas"] is not second["schemas"]


def test_out_of_range_is_refused():
    """Both ends of a stated range are allowed, nothing beyond them."""
    assert bind([WINDOW], {"window_minutes": "1440"}) == {"window_minutes": 1440}
    with pytest.raises(BadParameter, match="window_minutes must be from 1 to 1440, not 1441"):
        bind([WINDOW], {"window_minutes": 1441})


def test_unknown_names_the_nearest_and_what_is_taken():
    """A misspelt parameter is answered with the nearest name and with all that the runbook takes."""
    with pytest.raises(BadParameter) as caught:
        bind([WINDOW], {"windw_minutes": "5"})
    assert "did you mean window_minutes?" in str(caught.value)
    assert "window_minutes: int = 30 (1 to 1440)" in str(caught.value)


def test_target_is_no_parameter():
    """The target has its own option, and the refusal says so."""
    with pytest.raises(BadParameter, match="--target NAME"):
        bind([WINDOW], {"target": "prod"})


def test_every_fault_is_named_in_one_line():
    """What is missing, unknown and wrong is said at once."""
    with pytest.raises(BadParameter) as caught:
        bind([WINDOW, SCHEMA], {"window_minutes": "soon", "colour": "red"})
    message = str(caught.value)
    assert "schema is required" in message
    assert "'colour' is not a parameter" in message
    assert "window_minutes takes a whole number such as 30, not 'soon'" in message
    assert "\n" not in message


ANYTHING = st.text() | st.integers() | st.floats() | st.none() | st.lists(st.text())


@given(ANYTHING, st.sampled_from(["int", "float", "str"]))
def test_any_value_is_typed_or_refused(value, base):
    """Whatever is given, the answer is a value of the type or BadParameter."""
    try:
        typed = one(base, value)
    except BadParameter:
        return
    assert type(typed).__name__ == base
