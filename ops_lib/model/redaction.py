"""Hiding secrets: known values, in the forms in which they usually leak, are replaced before a byte is stored.

Exact values and common encodings are matched, no more: a secret that a program transforms in its own way passes.
"""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

SHORTEST = 4
SHORTEST_FRAGMENT = 6
MARK = "[hidden:{kind}]"


def encodings(secret: str) -> Iterator[str]:
    """The forms of a secret that are looked for.

    >>> sorted(set(encodings("p@ss")))
    ['70407373', 'p%40ss', 'p@ss']
    """
    raw = secret.encode()
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield raw.hex()
    yield raw.hex().upper()
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield from _base64_anywhere(raw)


def _base64_anywhere(raw: bytes) -> Iterator[str]:
    """Base 64 of a text inside a longer one, at each of three offsets: the letters that depend on it alone."""
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + raw).decode().rstrip("=")
        first = (offset * 8 + 5) // 6
        whole = (offset + len(raw)) * 8 // 6
        for text in (encoded[first:whole], base64.urlsafe_b64encode(bytes(offset) + raw).decode()[first:whole]):
            if len(text) >= SHORTEST_FRAGMENT:
                yield text


class Redactor:
    """Replaces the secrets that it was told of, in texts and in whatever JSON holds texts, and counts what it hid."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None
        self.hidden: Counter[str] = Counter()

    def register(self, secret: str, kind: str = "secret") -> None:
        """Make a value known. What is shorter than four letters is not hidden: it would hide half of the record."""
        parts = [secret, *[line.strip() for line in secret.splitlines()]] if "\n" in secret else [secret]
        for part in parts:
            if len(part) >= SHORTEST:
                self._kinds.update(dict.fromkeys(encodings(part), kind))
        longest_first = sorted(self._kinds, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def text(self, text: str) -> str:
        """A text without its secrets."""
        return self._pattern.sub(self._replace, text) if self._pattern else text

    def json(self, value: Any) -> Any:
        """A JSON value without secrets in any of its texts, keys included."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.json(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.json(item) for item in value]
        return value

    def _replace(self, match: re.Match[str]) -> str:
        kind = self._kinds[match[0]]
        self.hidden[kind] += 1
        return MARK.format(kind=kind)
