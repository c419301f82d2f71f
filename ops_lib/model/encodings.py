"""The forms in which a value usually leaks: as it is, quoted, escaped, and encoded."""

import base64
import html
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote, urlsplit

SHORTEST = 4
SHORTEST_FRAGMENT = 5
_CONNINFO_PASSWORD = re.compile(r"(?:^|\s)password\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(\S+))", re.IGNORECASE)
_PERCENT = re.compile(r"%[0-9A-F]{2}")


def parts_of(secret: str) -> Iterator[str]:
    """A secret, and what of it is one by itself: the lines of a key, the password of a connection string.

    >>> sorted(parts_of("postgresql://ana:p%40ss@db/platform"))
    ['p%40ss', 'p@ss', 'postgresql://ana:p%40ss@db/platform']
    """
    found = {secret, secret.strip(), *_passwords_in(secret)}
    for line in secret.splitlines():
        found |= {line, line.strip()}
    yield from (part for part in found if len(part) >= SHORTEST)


def _passwords_in(text: str) -> Iterator[str]:
    if "://" in text:
        try:
            password = urlsplit(text).password or ""
        except ValueError:
            return
        yield from (password, unquote(password))
    for quoted, plain in _CONNINFO_PASSWORD.findall(text):
        yield re.sub(r"\\(.)", r"\1", quoted) or plain


def encodings(secret: str) -> Iterator[str]:
    """The forms of a secret that are looked for; some are the same for most secrets.

    >>> sorted(set(encodings("p@ss")))
    ['70407373', 'cEBzc', 'p%40ss', 'p@ss', 'wQHNz']
    """
    raw = secret.encode("utf-8", "surrogatepass")
    yield secret
    yield raw.hex()
    yield raw.hex().upper()
    yield from _url_encoded(secret)
    yield from _escaped(secret)
    yield from _quoted(secret)
    yield from _base64_anywhere(raw)


def _url_encoded(secret: str) -> Iterator[str]:
    text = secret.encode("utf-8", "replace").decode()
    for form in (quote(text, safe=""), quote(text), quote(text, safe="!'()*"), quote_plus(text)):
        yield form
        yield _PERCENT.sub(lambda match: match[0].lower(), form)


def _escaped(secret: str) -> Iterator[str]:
    """As JSON and Python write it, also inside one another, and as pandas shows it."""
    for once in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield once
        yield json.dumps(once, ensure_ascii=False)[1:-1]
    for once in (repr(f"\"'{secret}")[4:-1], ascii(f"\"'{secret}")[4:-1]):
        yield from (once, once.replace("\\'", "'"), repr(once)[1:-1])
        yield json.dumps(once.replace("\\'", "'"))[1:-1]
    yield repr(secret.encode("utf-8", "surrogatepass"))[2:-1]
    yield secret.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def _quoted(secret: str) -> Iterator[str]:
    """Inside the quotes of SQL, a connection string, a shell and a CSV file, and as HTML and XML write it."""
    yield secret.replace("'", "''")
    yield secret.replace("\\", "\\\\").replace("'", "''")
    yield secret.replace("\\", "\\\\").replace("'", "\\'")
    yield shlex.quote(secret).removeprefix("'").removesuffix("'")
    yield secret.replace('"', '""')
    yield html.escape(secret, quote=False)
    yield html.escape(secret)
    yield html.escape(secret).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    yield html.escape(secret, quote=False).replace('"', "&quot;")


def _base64_anywhere(raw: bytes) -> Iterator[str]:
    """Base 64 of a text inside a longer one, at each of three offsets: the letters that depend on it alone."""
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + raw).decode().rstrip("=")
        first = (offset * 8 + 5) // 6
        whole = (offset + len(raw)) * 8 // 6
        for text in (encoded[first:whole], base64.urlsafe_b64encode(bytes(offset) + raw).decode()[first:whole]):
            if len(text) >= SHORTEST_FRAGMENT:
                yield text


def pattern_of(forms: Iterable[str]) -> str:
    """A regular expression that matches the longest of some texts, and shares their beginnings.

    >>> pattern_of(["pass", "password", "pin"])
    'p(?:ass(?:word)?|in)'
    """
    groups: dict[str, list[str]] = {}
    for form in sorted(set(forms)):
        groups.setdefault(form[0], []).append(form)
    return "|".join(map(_branch, groups.values()))


def _branch(forms: list[str]) -> str:
    """Texts that begin with the same letter."""
    first, last = forms[0], forms[-1]
    same = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    rests = [form[same:] for form in forms if len(form) > same]
    if not rests:
        return re.escape(first)
    optional = "?" if len(rests) < len(forms) else ""
    return f"{re.escape(first[:same])}(?:{pattern_of(rests)}){optional}"
