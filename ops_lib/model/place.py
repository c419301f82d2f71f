"""Where something stands in a document: the way to it from the top, and its line where the document has lines."""

from collections.abc import Mapping

Way = tuple[str | int, ...]
Lines = Mapping[Way, int]
"""The line, from 1, of each value of a document that was read from a text."""


def dotted(way: Way) -> str:
    """A way as people write it.

    >>> dotted(("context", "new_columns", 0, "nullable"))
    'context.new_columns[0].nullable'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in way).removeprefix(".")


def line_of(way: Way, lines: Lines) -> int | None:
    """The line of a value, or of the nearest one around it that has a line; nothing where the document had none."""
    return next((lines[way[:end]] for end in range(len(way), -1, -1) if way[:end] in lines), None)
