"""Parameters: what a runbook may be told, typed, with a range; and the binding of what was given to them.

A value arrives as the text of a command line (`-p window_minutes=90`) or as a value of JSON or YAML (a schedule, an
alert). Both become the same typed value here, or are refused before anything starts.
"""

import difflib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from ops_lib.model.errors import BadInput, BadParameter
from ops_lib.model.times import format_duration, format_instant, parse_duration

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
SECRET: Final = re.compile(r".*(password|secret|token)")
REQUIRED: Final = object()
NOTHING: Final = "none"
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_WORDS_OF_TRUTH = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The type of a parameter: one of `FORMS`, `list` of one, or `Literal` with its choices; `optional` admits None.

    >>> str(Kind(base="list", item=Kind(base="int"))), str(Kind(base="str", optional=True))
    ('list[int]', 'str | None')
    """

    base: str
    item: "Kind | None" = None
    choices: tuple[str | int, ...] = ()
    optional: bool = False

    def __str__(self) -> str:
        inside = str(self.item) if self.item else ", ".join(repr(choice) for choice in self.choices)
        text = f"{self.base}[{inside}]" if inside else self.base
        return f"{text} | None" if self.optional else text

    @property
    def form(self) -> str:
        """How a person writes a value of this kind."""
        if self.choices:
            return "one of " + ", ".join(str(choice) for choice in self.choices)
        if self.item:
            return f"a list (a,b,c or a JSON list), each {self.item.form}"
        return FORMS[self.base]

    def read(self, value: object) -> Any:
        """The typed value that a text or a JSON or YAML value means; ValueError where it means none.

        >>> Kind(base="int").read("90"), Kind(base="list", item=Kind(base="str")).read("raw,mart")
        (90, ['raw', 'mart'])
        """
        if self.optional and (value is None or value == NOTHING):
            return None
        if self.choices:
            return _choice(self.choices, value)
        if self.item:
            return [self.item.read(item) for item in _items(value)]
        return _READERS[self.base](value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One thing that a runbook may be told. `low` and `high` are the inclusive range that its help comment states."""

    name: str
    kind: Kind
    help: str
    default: Any = field(default=REQUIRED)
    low: Any = None
    high: Any = None

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @property
    def range(self) -> str | None:
        """The range as text, or nothing where every value of the kind is allowed."""
        return None if self.low is None else f"{shown(self.low)} to {shown(self.high)}"

    def __str__(self) -> str:
        default = "" if self.required else f" = {shown(self.default)}"
        return f"{self.name}: {self.kind}{default}" + (f" ({self.range})" if self.range else "")

    def read(self, value: object) -> Any:
        """The typed value within range; ValueError says what was expected."""
        try:
            typed = self.kind.read(value)
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise ValueError(f"{self.name} takes {self.kind.form}, not {abridged(value)}") from None
        for one in typed if isinstance(typed, list) else [typed]:
            if self.low is not None and one is not None and not self.low <= one <= self.high:
                raise ValueError(f"{self.name} must be from {self.range}, not {shown(one)}")
        return typed


def bind(parameters: Sequence[Parameter], given: Mapping[str, object]) -> dict[str, Any]:
    """A typed value for every parameter, from what was given and the defaults; BadParameter names every fault.

    >>> window = Parameter(name="window_minutes", kind=Kind(base="int"), help="", default=30, low=1, high=1440)
    >>> bind([window], {"window_minutes": "90"})
    {'window_minutes': 90}
    """
    known = {parameter.name: parameter for parameter in parameters}
    faults = [_unknown(name, known) for name in given if name not in known]
    values: dict[str, Any] = {}
    for name, parameter in known.items():
        value = given.get(name, parameter.default)
        if value is REQUIRED:
            faults.append(f"{name} is required")
            continue
        try:
            values[name] = parameter.read(value)
        except ValueError as error:
            faults.append(str(error))
    if faults:
        takes = "; ".join(str(parameter) for parameter in parameters)
        raise BadParameter("; ".join(faults), hint=f"it takes {takes}" if takes else "it takes no parameters")
    return values


def shown(value: object) -> str:
    """A typed value as a person writes it on the command line.

    >>> shown(timedelta(minutes=15)), shown(True), shown(None), shown(["raw", "mart"])
    ('15m', 'true', 'none', '[raw, mart]')
    """
    match value:
        case None:
            return NOTHING
        case bool():
            return str(value).lower()
        case timedelta():
            return format_duration(value)
        case datetime():
            return format_instant(value)
        case list():
            return "[" + ", ".join(shown(item) for item in value) + "]"
        case _:
            return str(value) or '""'


def abridged(value: object) -> str:
    """What was found, as it is quoted in a message: never more than 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _unknown(name: str, known: Mapping[str, Parameter]) -> str:
    if name == "target":
        return "target is no parameter: choose it with --target NAME"
    near = difflib.get_close_matches(name, known, n=1)
    return f"{abridged(name)} is not a parameter" + (f" (did you mean {near[0]}?)" if near else "")


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    value.encode()  # a lone surrogate, from bytes that were no UTF-8, could never be stored
    return value


def _int(value: object) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise ValueError
    return value


def _float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or "_" in str(value):
        raise ValueError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _WORDS_OF_TRUTH:
        return _WORDS_OF_TRUTH[value.strip().lower()]
    raise ValueError


def _date(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and _DAY.fullmatch(value.strip()):
        return date.fromisoformat(value.strip())
    raise ValueError


def _datetime(value: object) -> datetime:
    """An instant in UTC; a time without a zone is taken as UTC, since that is what records are written in."""
    instant = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
    if not isinstance(instant, datetime):
        raise ValueError
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _timedelta(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    try:
        return parse_duration(_text(value))
    except BadInput as error:
        raise ValueError from error


def _items(value: object) -> list[object]:
    if isinstance(value, list | tuple):
        return list(value)
    text = _text(value).strip()
    if text.startswith("["):
        return list(json.loads(text))
    return [item.strip() for item in text.split(",")] if text else []


def _choice(choices: Sequence[str | int], value: object) -> str | int:
    for choice in choices:
        if (type(value) is type(choice) and value == choice) or (isinstance(value, str) and value == str(choice)):
            return choice
    raise ValueError


FORMS: Final[Mapping[str, str]] = {
    "str": "text",
    "int": "a whole number such as 30",
    "float": "a number such as 0.5",
    "bool": "true or false",
    "date": "a date such as 2026-01-31",
    "datetime": "a time in UTC such as 2026-01-31T04:00:00Z",
    "timedelta": "a duration such as 90s, 15m, 2h or 7d",
}
_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "str": _text,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "date": _date,
    "datetime": _datetime,
    "timedelta": _timedelta,
}
