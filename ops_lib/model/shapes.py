"""Passwords that nobody made known, recognised by where they stand: in SQL, in a connection string, in an address.

Only the value is hidden. What stands for a value (a placeholder, a variable, a reference) is left alone.
"""

import re
from collections.abc import Iterator

LONGEST = 1000
Span = tuple[int, int]

_SQL = re.compile(
    r"\bpassword\s{1,20}(?:E|U&)?\\?(?:'((?:[^'\\\n]|''|\\.){1,1000})(?:'|$)|\$(\w{0,60})\$(.{1,1000}?)\$\2\$)",
    re.IGNORECASE | re.MULTILINE,
)
_CONNINFO = re.compile(
    r"(?<![\w.])password\s{0,3}=\s{0,3}(?:'((?:[^'\\\n]|\\.){1,1000})'|([^\s'\"(),;&<>{}$%\[\]]{4,1000})(?![^\s;&]*[(),]))",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"://[^\s/:@'\"<>]{0,200}:([^\s/@'\"<>{}$\[\]]{1,1000})@")
_STANDS_FOR = re.compile(
    r"\*+|\.+|\[hidden:.*|\{[^}]*\}|%s|%\(\w+\)s|<\w+>|(?:env|file):.*|none|null|true|false", re.IGNORECASE
)


def passwords_in(text: str) -> Iterator[Span]:
    """Where in a text passwords stand.

    >>> text = "ALTER ROLE ana PASSWORD 'pa''ss' -- postgresql://ana:word@db/x host=db password=hunter2"
    >>> [text[start:end] for start, end in sorted(passwords_in(text))]
    ["pa''ss", 'word', 'hunter2']
    >>> list(passwords_in("connect(host=host, password=password)"))
    []
    """
    if "assword" in text or "ASSWORD" in text:
        yield from _found(_SQL, text)
        yield from _found(_CONNINFO, text)
    if "://" in text:
        yield from _found(_ADDRESS, text)


def _found(pattern: re.Pattern[str], text: str) -> Iterator[Span]:
    for match in pattern.finditer(text):
        for group in range(1, (pattern.groups or 0) + 1):
            value = match[group]
            named = pattern is _SQL and group == 2  # the tag of a dollar quote
            if value and not named and not _STANDS_FOR.fullmatch(value):
                yield match.span(group)
