"""ULIDs: run ids that sort by the time at which they were made.

Source: the ULID specification (48 bits of milliseconds, 80 random bits, Crockford's base 32).
"""

import re
from datetime import UTC, datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LATEST = 253_402_300_799_999  # the end of the year 9999
_SHAPE = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def make(at: datetime, randomness: bytes) -> str:
    """The ULID of an instant and ten random bytes.

    >>> make(datetime(2026, 1, 1, tzinfo=UTC), bytes(10))
    '01KDVDNA000000000000000000'
    """
    if len(randomness) != 10:
        raise ValueError("a ULID takes ten random bytes")
    number = int(at.timestamp() * 1000) << 80 | int.from_bytes(randomness)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def is_ulid(text: str) -> bool:
    """Whether a text is a ULID in its canonical form, of a time that has a date, and so safe as the name of a folder.

    >>> is_ulid("01KDVDNA000000000000000000"), is_ulid("../../etc/passwd")
    (True, False)
    """
    return _SHAPE.fullmatch(text) is not None and milliseconds(text) <= _LATEST


def instant(ulid: str) -> datetime:
    """When a ULID was made.

    >>> instant("01KDVDNA000000000000000000").isoformat()
    '2026-01-01T00:00:00+00:00'
    """
    return datetime.fromtimestamp(milliseconds(ulid) / 1000, UTC)


def milliseconds(ulid: str) -> int:
    """When a ULID was made, as a number that sorts.

    >>> milliseconds("01KDVDNA000000000000000000")
    1767225600000
    """
    number = 0
    for letter in ulid[:10]:
        number = number * 32 + _ALPHABET.index(letter)
    return number
