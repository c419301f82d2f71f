"""The parameters cell as syntax, and the cell that binds."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_lib.model.errors import BadRunbook
from ops_lib.model.parameter import bind
from ops_lib.notebooks.parameters import binding_source, parameters_of, parse_parameters

CELL = """\
window_minutes: int = 30  # how far back to look, in minutes (1 to 1440)
schema: str  # which schema to look at; a = sign is no problem
share: float = 0.5  # from which share on (0 to 1)
since: timedelta = timedelta(hours=2)  # how old a snapshot must be (1m to 7d)
day: date = "2026-01-31"  # which day
at: datetime = datetime(2026, 1, 31, 4, 0)  # when
kinds: list[str] = [
    "raw",
    "mart",
]  # which kinds
mode: Literal["quick", "full"] = "quick"  # how thorough
limit: int | None = None  # how many rows, none for all (1 to 99)
plain: bool = True  # whether to be plain
"""


def test_every_kind_is_read():
    """Kinds, defaults, ranges and help come from the syntax of the cell."""
    parameters = {p.name: p for p in parse_parameters(CELL)}
    assert [str(p.kind) for p in parameters.values()] == [
        "int",
        "str",
        "float",
        "timedelta",
        "date",
        "datetime",
        "list[str]",
        "Literal['quick', 'full']",
        "int | None",
        "bool",
    ]
    assert parameters["schema"].required
    assert parameters["schema"].help == "which schema to look at; a = sign is no problem"
    assert (parameters["window_minutes"].low, parameters["window_minutes"].high) == (1, 1440)
    assert parameters["since"].default == timedelta(hours=2)
    assert parameters["since"].high == timedelta(days=7)
    assert parameters["at"].default == datetime(2026, 1, 31, 4, tzinfo=UTC)
    assert parameters["kinds"].default == ["raw", "mart"]
    assert parameters["kinds"].help == "which kinds"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import os", "line 1: expected an annotated literal"),
        ("x = 1", "line 1: expected an annotated literal"),
        ("x: int = 1\nprint(x)", "line 2"),
        ("x: int = len('a')  # n", "default is not a literal"),
        ("x: int = __import__('os').getpid()", "default is not a literal"),
        ("x: str = f'{1}'", "default is not a literal"),
        ("x: datetime = datetime.now()", "default is not a literal"),
        ("x: timedelta = timedelta(weird=1)", "not a literal"),
        ("x: int = '30'", "not of type int"),
        ("x: int = True", "takes a whole number"),
        ("x: float = float('nan')", "not a literal"),
        ("x: float = 1e999", "takes a number"),
        ("x: list[str] = ('a',)", "not of type list"),
        ("x: dict = {}", "no type of a parameter"),
        ("x: list[list[int]] = []", "list of lists"),
        ("x: Literal = 1", "no type"),
        ("x: Literal[y] = 1", "expected choices"),
        ("x: None = None", "no type"),
        ("x: int = 1\nx: int = 2", "line 2: x is declared twice"),
        ("x: int = 5  # n (1 to 3)", "must be from 1 to 3"),
        ("x: int = 5  # n (9 to 3)", "runs backwards"),
        ("x: int = 5  # n (1 to 10k)", "not two values of type int"),
        ("X: int = 1", "no name for a parameter"),
        ("_x: int = 1", "no name"),
        ("é: int = 1", "no name"),
        ("target: str = 'a'", "--target"),
        ("check: int = 1", "reserved"),
        ("approved: bool = True", "reserved"),
        ("date: date", "reserved"),
        ("list: int = 1", "reserved"),
        ("db_password: str", "env:NAME"),
        ("token: str", "env:NAME"),
        ("x.y: int = 1", "expected an annotated literal"),
        ("x: int = (", "line 1"),
        ("%matplotlib inline", "line 1"),
        ("x: int = 1\0", "parameters cell"),
        ("x: int = " + "-" * 20000 + "1", "parameters cell"),
    ],
)
def test_anything_else_in_the_cell_is_a_fault_with_its_line(source, said):
    """Code, foreign types, reserved names and secrets are refused in one line."""
    with pytest.raises(BadRunbook) as caught:
        parse_parameters(source)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_words_in_parentheses_are_no_range():
    """Only what looks like two values is a range."""
    (parameter,) = parse_parameters("x: int = 5  # counts (from start to end)")
    assert parameter.low is None


def test_one_cell_holds_the_parameters():
    """No tagged cell means no parameters; two are a fault, and so is a tagged text."""
    code = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "x: int = 1"}
    assert parameters_of({"cells": []}) == ()
    assert len(parameters_of({"cells": [code]})) == 1
    with pytest.raises(BadRunbook, match="cells 1 and 2"):
        parameters_of({"cells": [code, code]})
    with pytest.raises(BadRunbook, match="no code cell"):
        parameters_of({"cells": [{**code, "cell_type": "markdown"}]})


def test_the_binding_is_data():
    """Executing the binding gives back the values, of the same types."""
    values = bind(parse_parameters(CELL), {"schema": '"; import os #', "limit": 5})
    scope: dict = {}
    exec(binding_source(values), scope)
    assert {name: scope[name] for name in values} == values


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text()
        | st.dates()
        | st.datetimes(timezones=st.just(UTC))
        | st.timedeltas(min_value=timedelta(0))
        | st.lists(st.text()),
    )
)
def test_any_values_survive_the_binding(values):
    """Text that looks like code comes back as text."""
    scope: dict = {}
    exec(binding_source(values), scope)
    assert {name: scope[name] for name in values} == values


def test_only_what_is_used_is_imported():
    """A text that mentions a date needs no import."""
    assert binding_source({"a": "date.today()"}) == "a = 'date.today()'"
    assert binding_source({"a": date(2026, 1, 31)}).startswith("from datetime import date\n")
