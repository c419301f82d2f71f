"""What is read of a handoff's document, value by value: what does not fit is refused with its line and its field."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from ops_lib.model.errors import BadInput
from ops_lib.model.place import Lines, Way, dotted, line_of
from ops_lib.model.triggers import COLUMN, TRIGGERS, Kind, Shape

DEEPEST: Final = 5
"""How many mappings and lists may stand in each other below a key of a context."""

LEVELS: Final = ("low", "medium", "high")
CONTEXT: Final[Way] = ("context",)
_LARGEST = 2**63 - 1
_LONGEST_LINE = 100


class Reader:
    """Reads the values of one document. `name` is what it is called, `lines` is where its values stand."""

    def __init__(self, lines: Lines, name: str) -> None:
        self._lines = lines
        self._name = name

    def fault(self, way: Way, found: str, expected: str = "") -> BadInput:
        """What is wrong with a value."""
        line = line_of(way, self._lines)
        place = f"line {line}: " if line else ""
        wanted = f", expected {expected}" if expected else ""
        subject = f"{field_of(way)} " if way else ""
        return BadInput(f"{self._name}: {place}{subject}{found}{wanted}")

    def wrong(self, way: Way, value: Any, expected: str) -> BadInput:
        return self.fault(way, "has no value" if value is None else f"is {_shown(value)}", expected)

    def fields(self, value: Any, known: Collection[str], *, required: Collection[str], way: Way = ()) -> dict[str, Any]:
        """A mapping that has every required key, and none that is not known."""
        if not isinstance(value, Mapping):
            raise self.wrong(way, value, f"a mapping with {', '.join(required)}")
        for name in value:
            self.check_known(name, known, (*way, str(name)))
        self.check_there(value, required, way)
        return dict(value)

    def check_known(self, name: Any, known: Collection[str], way: Way) -> None:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            raise self.fault(way, "is not known here", near[0] if near else f"one of {', '.join(known)}")

    def check_there(self, value: Mapping[str, Any], required: Collection[str], way: Way) -> None:
        for name in required:
            if name not in value:
                raise self.fault((*way, name), "is missing")

    def text(self, value: Any, way: Way) -> str:
        """A text that is not blank, and that can be stored."""
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(way, value, Kind.TEXT)
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.fault(way, "holds half of a character", "text in UTF-8") from None
        return str(value)

    def optional_text(self, value: Any, way: Way) -> str | None:
        return None if value is None else self.text(value, way)

    def team(self, value: Any, way: Way) -> str | None:
        """The name of a team."""
        told = self.optional_text(value, way)
        if told and (len(told) > _LONGEST_LINE or not told.isprintable()):
            raise self.wrong(way, value, f"the name of a team in at most {_LONGEST_LINE} letters")
        return told.strip() if told else None

    def level(self, value: Any, way: Way) -> str:
        if value not in LEVELS:
            raise self.wrong(way, value, Kind.LEVEL)
        return str(value)

    def texts(self, value: Any, way: Way) -> list[str]:
        if not isinstance(value, list | tuple):
            raise self.wrong(way, value, Kind.TEXTS)
        return [self.text(item, (*way, place)) for place, item in enumerate(value)]

    def texts_or_one(self, value: Any, way: Way) -> tuple[str, ...]:
        """A list of texts, which one text alone may stand for."""
        if value is None:
            return ()
        return tuple(self.texts(value, way)) if not isinstance(value, str) else (self.text(value, way),)

    def of_kind(self, kind: Kind, value: Any, way: Way) -> Any:
        """A value of a context whose kind was agreed on."""
        match kind:
            case Kind.TEXT:
                return self.text(value, way)
            case Kind.TEXTS:
                return self.texts(value, way)
            case Kind.LEVEL:
                return self.level(value, way)
            case Kind.COLUMNS:
                return self._columns(value, way)
            case Kind.FLAG if not isinstance(value, bool):
                raise self.wrong(way, value, kind)
            case Kind.SCALAR if isinstance(value, Mapping | list | tuple):
                raise self.wrong(way, value, kind)
        return self.plain(value, way)

    def _columns(self, value: Any, way: Way) -> list[dict[str, Any]]:
        if not isinstance(value, list | tuple):
            raise self.wrong(way, value, Kind.COLUMNS)
        return [self.shaped(COLUMN, item, (*way, place)) for place, item in enumerate(value)]

    def shaped(self, shape: Shape, value: Any, way: Way) -> dict[str, Any]:
        told = self.fields(value, shape.keys, required=shape.required, way=way)
        return {name: self.of_kind(shape.keys[name], item, (*way, name)) for name, item in told.items()}

    def plain(self, value: Any, way: Way, depth: int = 0) -> Any:
        """Any value that JSON and YAML both hold, and that comes back from either as it was."""
        if depth > DEEPEST:
            raise self.fault(way, "is nested too deeply")
        if isinstance(value, Mapping):
            return {self.key(key, way): self.plain(item, (*way, str(key)), depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(item, (*way, place), depth + 1) for place, item in enumerate(value)]
        if isinstance(value, str):
            return self.text(value, way) if value.strip() else value
        finite = isinstance(value, float) and abs(value) < float("inf")
        if value is None or finite or (isinstance(value, int) and abs(value) <= _LARGEST):
            return value
        raise self.wrong(way, value, "text, a number of at most 64 bits, true, false, null, a list or a mapping")

    def key(self, key: Any, way: Way) -> str:
        if not isinstance(key, str):
            raise self.fault(way, f"has the key {_shown(key)}", "a key that is text")
        return self.text(key, way)


def canonical_context(reader: Reader, trigger: str, told: Any) -> dict[str, Any]:
    """The context as one mapping, as its trigger wants it; one that nobody agreed on holds what it likes."""
    values: dict[str, tuple[Any, Way]] = {}
    for name, item, way in _pairs(reader, told):
        if name in values:
            raise reader.fault(way, "is given twice")
        values[name] = item, way
    if trigger not in TRIGGERS:
        return {name: reader.plain(item, way) for name, (item, way) in values.items()}
    agreed = TRIGGERS[trigger].context
    for name, (_, way) in values.items():
        reader.check_known(name, agreed.keys, way)
    reader.check_there(values, agreed.required, CONTEXT)
    return {name: reader.of_kind(agreed.keys[name], item, way) for name, (item, way) in values.items()}


def _pairs(reader: Reader, told: Any) -> Iterator[tuple[str, Any, Way]]:
    """Every key of a context with its value and the way to it."""
    listed = isinstance(told, list | tuple)
    parts = [((*CONTEXT, place), item) for place, item in enumerate(told)] if listed else [(CONTEXT, told or {})]
    for way, part in parts:
        if not isinstance(part, Mapping):
            raise reader.wrong(way, part, "keys with their values, such as - environment: production")
        for key, item in part.items():
            yield reader.key(key, way), item, (*way, key)


def field_of(way: Way) -> str:
    """A field of a handoff as people name it: a context that is a list reads like one that is a mapping.

    >>> field_of(("context", 3, "breaking_changes"))
    'context.breaking_changes'
    """
    listed = way[:1] == CONTEXT and len(way) > 2 and isinstance(way[1], int)
    return dotted((way[0], *way[2:]) if listed else way)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
