"""Hiding secrets: known values, in the forms in which they usually leak, are replaced before a byte is stored.

Exact values and common encodings are matched, and passwords by where they stand, no more: a secret that a program
transforms in its own way passes.
"""

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from ops_lib.model.encodings import encodings, parts_of, pattern_of
from ops_lib.model.shapes import Span, passwords_in

MARK = "[hidden:{kind}]"
PASSWORD = "password"  # noqa: S105 - the name of a kind
_MARKS = re.compile(r"\[hidden:[a-z-]{1,20}\]")
_PROBE = 3
_SURROGATES = re.compile("[\ud800-\udfff]")

INVISIBLE = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b\[[0-?]*[ -/]*[@-~]?|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)

# The words of the record's own format. A text that is one of them and nothing else is never taken for a secret, also
# where somebody's password is such a word: a record whose keys were hidden could not be read.
# fmt: off
FORMAT_WORDS = frozenset((
    "alive", "application", "application/javascript", "application/json", "application/vnd.ops-runbooks.result+json",
    "approvals", "bytes", "calls", "cause", "cell", "cell_type", "cells", "changes", "check", "code", "columns",
    "commit", "content", "content_type", "critical", "data", "database", "demo", "destructive", "display_data",
    "display_id", "display_name", "done", "embedded", "ename", "error", "evalue", "evidence", "execute_result",
    "execution_count", "failed", "file", "files", "findings", "guard", "hazard", "heading", "hidden", "hint",
    "how_known", "id", "image/gif", "image/jpeg", "image/png", "image/svg+xml", "image/webp", "info",
    "injected-parameters", "interrupted", "kernelspec", "kind", "language", "language_info", "markdown", "message",
    "metadata", "metrics", "name", "nbformat", "nbformat_minor", "next_step", "none", "not-run", "notes", "outcome",
    "output_type", "outputs", "owner", "parameters", "password", "person", "picture", "postgres", "python", "python3",
    "rank", "raw", "read-only", "refused", "remedy", "role", "rows", "runbook", "schema", "seconds", "secret",
    "server_version", "session", "severity", "skipped", "source", "sql", "statement", "status", "stderr", "stdout",
    "steps", "stream", "subject", "succeeded", "summary", "symptoms", "system_identifier", "table", "tags", "target",
    "text", "text/html", "text/latex", "text/markdown", "text/plain", "timed-out", "title", "total", "traceback",
    "transient", "type", "undo", "unit", "unknown", "value", "verdict", "warning", "weight",
))
# fmt: on


class Redactor:
    """Replaces the secrets that it was told of, in texts and in whatever JSON holds texts, and counts what it hid."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}
        self.hidden: Counter[str] = Counter()

    def register(self, secret: str, kind: str = "secret") -> None:
        """Make a value known. What is shorter than four letters is not hidden: it would hide half of the record."""
        for part in parts_of(secret):
            for form in encodings(part):
                self._kinds.setdefault(form, kind)
        for name in ("_pattern", "_forms", "_probes", "longest"):
            self.__dict__.pop(name, None)

    @property
    def knows_any(self) -> bool:
        return bool(self._kinds)

    def text(self, text: str) -> str:
        """A text without its secrets."""
        return self.pieces([text])[0]

    def pieces(self, pieces: Sequence[str]) -> list[str]:
        """The parts of one text without the secrets of the whole; a mark stands where a secret began."""
        whole = "".join(pieces)
        spans = self.spans(whole)
        for span in spans:
            self.hidden[self._kind(whole, span)] += 1
        kept = list(self._without(pieces, whole, spans)) if spans else list(pieces)
        return [self._seen(piece) for piece in kept]

    def spans(self, text: str) -> list[Span]:
        """Where secrets stand in a text, in order; what overlaps is one."""
        marks = [mark.span() for mark in _MARKS.finditer(text)] if "[hidden:" in text else []
        found = sorted(span for span in (*self._known(text), *passwords_in(text)) if not _within(span, marks))
        merged: list[Span] = []
        for start, end in found:
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged

    def json(self, value: Any) -> Any:
        """A JSON value without secrets in any of its texts, keys included, and without what JSON cannot hold."""
        match value:
            case str():
                whole = value if value.isascii() else _SURROGATES.sub("\ufffd", value)
                return value if value in FORMAT_WORDS else self.text(whole)
            case dict():
                return {self.json(str(key)): self.json(item) for key, item in value.items()}
            case list() | tuple():
                return [self.json(item) for item in value]
            case bool() | None:
                return value
            case int() | float():
                return self._number(value)
        return value

    def bytes(self, raw: bytes) -> bytes:
        """The content of a file without its secrets, whatever else is in it."""
        text = raw.decode("utf-8", "surrogateescape")
        hidden = self.text(text)
        return raw if hidden == text else hidden.encode("utf-8", "surrogateescape")

    def unfinished(self, text: str) -> int:
        """How many characters at the end of a text may be the beginning of a secret that is not all there yet."""
        if not self._kinds:
            return 0
        end = text[-(self.longest - 1) :]
        starts = (match.start() for match in self._probes.finditer(end))
        places = sorted({*starts, *range(max(len(end) - _PROBE, 0), len(end))})
        return next((len(end) - place for place in places if self._begins_form(end[place:])), 0)

    @cached_property
    def longest(self) -> int:
        """The length of the longest form that is looked for."""
        return max(map(len, self._kinds), default=0)

    @cached_property
    def _forms(self) -> list[str]:
        return sorted(self._kinds)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(pattern_of(self._kinds))

    @cached_property
    def _probes(self) -> re.Pattern[str]:
        return re.compile(f"(?={pattern_of(form[:_PROBE] for form in self._kinds)})")

    def _begins_form(self, text: str) -> bool:
        """Whether a longer form begins with a text."""
        place = bisect_left(self._forms, text)
        following = self._forms[place : place + 2]
        return any(len(form) > len(text) and form.startswith(text) for form in following)

    def _known(self, text: str) -> Iterator[Span]:
        """Every place at which a known form begins, overlaps included."""
        found = self._pattern.search(text) if self._kinds else None
        while found:
            yield found.span()
            found = self._pattern.search(text, found.start() + 1)

    def _kind(self, text: str, span: Span) -> str:
        found = self._pattern.match(text, span[0]) if self._kinds else None
        return self._kinds[found[0]] if found else PASSWORD

    def _without(self, pieces: Sequence[str], whole: str, spans: Sequence[Span]) -> Iterator[str]:
        start = 0
        for piece in pieces:
            yield self._piece(whole, start, start + len(piece), spans)
            start += len(piece)

    def _piece(self, whole: str, start: int, end: int, spans: Sequence[Span]) -> str:
        kept, place = [], start
        for span in spans:
            if span[1] <= start or span[0] >= end:
                continue
            kept.append(whole[place : max(span[0], place)])
            if span[0] >= start:
                kept.append(MARK.format(kind=self._kind(whole, span)))
            place = min(span[1], end)
        return "".join((*kept, whole[place:end]))

    def _seen(self, text: str) -> str:
        """A text, or where its controls and colours only cut a secret up, what a reader would see of it, hidden."""
        if not self._kinds or text.isprintable() or not INVISIBLE.search(text):
            return text
        visible = INVISIBLE.sub("", text)
        return self.text(visible) if self.spans(visible) else text

    def _number(self, value: float) -> Any:
        """A number, unless its digits are a secret; what is no number of JSON is nothing."""
        if isinstance(value, float) and not math.isfinite(value):
            return None
        kind = self._kinds.get(repr(value))
        if kind is None:
            return value
        self.hidden[kind] += 1
        return MARK.format(kind=kind)


def _within(span: Span, marks: Sequence[Span]) -> bool:
    return any(mark[0] <= span[0] and span[1] <= mark[1] for mark in marks)
