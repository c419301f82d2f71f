"""The names of write-ahead log segments, and where an archive of them has a gap."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

SEGMENT = re.compile(r"[0-9A-F]{24}")
_LOG = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """What an archive holds from a backup on: the first and last segment, and the first fault among them."""

    first: str | None = None
    last: str | None = None
    count: int = 0
    fault: str | None = None


def position(lsn: str) -> int:
    """A log position as a number of bytes.

    >>> position("1/10")
    4294967312
    """
    high, low = lsn.split("/")
    return int(high, 16) * _LOG + int(low, 16)


def number(name: str, size: int) -> int:
    """Which segment a name means, counted from the beginning of the log; the timeline makes no difference.

    >>> number("0000000100000001000000FF", 16 << 20)
    511
    """
    return int(name[8:16], 16) * (_LOG // size) + int(name[16:], 16)


def since(start: str, sizes: Mapping[str, int]) -> Segments:
    """The archived segments that carry a backup on which begins at a position, by name and size in bytes.

    >>> since("0/2000028", {"000000010000000000000002": 16 << 20, "000000010000000000000004": 16 << 20}).fault
    'the log has a gap before 000000010000000000000004'
    """
    known = {name: size for name, size in sizes.items() if SEGMENT.fullmatch(name)}
    if not known:
        return Segments()
    size = max(known.values())
    first = position(start) // size
    ordered = sorted((number(name, size), name) for name in known if number(name, size) >= first)
    if not ordered:
        return Segments()
    fault = _first_fault([(first - 1, ""), *ordered], known, size)
    return Segments(first=ordered[0][1], last=ordered[-1][1], count=len(ordered), fault=fault)


def before(start: str, sizes: Mapping[str, int]) -> list[str]:
    """The segments that no backup needs that begins at this position or later.

    >>> before("0/2000028", {"000000010000000000000001": 16 << 20, "000000010000000000000002": 16 << 20})
    ['000000010000000000000001']
    """
    known = {name: size for name, size in sizes.items() if SEGMENT.fullmatch(name)}
    size = max(known.values(), default=1)
    return sorted(name for name in known if number(name, size) < position(start) // size)


def _first_fault(ordered: list[tuple[int, str]], sizes: Mapping[str, int], size: int) -> str | None:
    for (before, _), (place, name) in pairwise(ordered):
        if place > before + 1:
            return f"the log has a gap before {name}"
        if sizes[name] != size:
            return f"segment {name} has {sizes[name]} bytes of {size}"
    return None


def names(listed: Iterable[str]) -> list[str]:
    """The segments and timeline histories among the names of an archive's files."""
    return [name for name in listed if SEGMENT.fullmatch(name) or name.endswith(".history")]
