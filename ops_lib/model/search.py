"""What a text holds for a search, and what a query asks for: pure rules that the index and a plain scan share.

A word is a run of letters, digits and `_`, or several joined by `-`; it is found as a whole and by its parts, without
regard to case and accents. A decimal number counts by what stands before its point.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ops_lib.model.errors import BadInput

LONGEST = 64
SHORTEST_PREFIX = 2
MOST_WORDS = 64
_WORD = re.compile(r"(?<![\w.])(?P<whole>\d+)\.\d+(?!\w|\.\d)|\w+(?:-\w+)*")
_ASKED = re.compile(rf"(?:{_WORD.pattern})(?P<open>\*?)")
_JOINT = re.compile(r"[-_]+")
_QUOTED = re.compile(r'"([^"]*)"')


class Label(StrEnum):
    """What a run is known by besides its words. `cause` is why it ran, or the cause of one of its findings."""

    RUNBOOK = "runbook"
    OUTCOME = "outcome"
    TARGET = "target"
    PERSON = "person"
    CAUSE = "cause"
    IDENTITY = "identity"
    KEEPS = "keeps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Runs that hold every word, every prefix and every phrase, bear every label, and were asked for in a time.

    A phrase is a sequence of words; each of them is among `words` too. `before` leaves out the run with that id and all
    later ones.
    """

    words: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    phrases: tuple[tuple[str, ...], ...] = ()
    labels: tuple[tuple[Label, str], ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    before: str | None = None


def asked(text: str) -> Query:
    """The words of a query as a person types it; BadInput where a part of it holds no word.

    >>> query = asked('Lock-Timeout "could not obtain" pg_st*')
    >>> query.words, query.prefixes, query.phrases
    (('could', 'not', 'obtain', 'lock-timeout'), ('pg_st',), (('could', 'not', 'obtain'),))
    """
    phrases = tuple(tuple(whole_words(quoted)) for quoted in _QUOTED.findall(text))
    rest = _QUOTED.sub(" ", text)
    found = [match for part in rest.split() for match in _words_of(part)]
    prefixes = tuple(_cut(match) for match in found if match["open"])
    for prefix in prefixes:
        if len(prefix) < SHORTEST_PREFIX:
            raise BadInput(f"'{prefix}*' is too short", hint=f"give at least {SHORTEST_PREFIX} letters before the *")
    if len(found) + sum(map(len, phrases)) > MOST_WORDS:
        raise BadInput(f"more than {MOST_WORDS} words", hint="give the few that tell")
    words = [word for phrase in phrases for word in phrase] + [_cut(match) for match in found if not match["open"]]
    return Query(
        words=tuple(dict.fromkeys(words)),
        prefixes=tuple(dict.fromkeys(prefixes)),
        phrases=tuple(phrase for phrase in phrases if len(phrase) > 1),
    )


def _words_of(part: str) -> list[re.Match[str]]:
    found = list(_ASKED.finditer(folded(part)))
    if not found:
        raise BadInput(f"{part!r} holds no word to search for", hint="give letters or digits, such as lock or 55P03")
    return found


def folded(text: str) -> str:
    """A text as it is compared: without case and accents.

    >>> folded("Überlauf"), folded("STRASSE") == folded("straße")
    ('uberlauf', True)
    """
    if text.isascii():
        return text.lower()
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))


def whole_words(text: str) -> Iterator[str]:
    """The words of a text in order, none of them split.

    >>> list(whole_words("idle-in-transaction on mart.game_features for 18.6 s"))
    ['idle-in-transaction', 'on', 'mart', 'game_features', 'for', '18', 's']
    """
    return (_cut(match) for match in _WORD.finditer(folded(text)))


def words(text: str) -> Iterator[str]:
    """The words of a text and their parts.

    >>> sorted(set(words("lock-timeout on work_mem")))
    ['lock', 'lock-timeout', 'mem', 'on', 'timeout', 'work', 'work_mem']
    """
    for word in whole_words(text):
        yield word
        if "-" in word or "_" in word:
            yield from (part for part in (*word.split("-"), *_JOINT.split(word)) if part)


def _cut(match: re.Match[str]) -> str:
    return (match["whole"] or match[0].rstrip("*"))[:LONGEST]


def holds_phrases(query: Query, passages: Iterable[str]) -> bool:
    """Whether every phrase of a query stands in one of the passages."""
    missing = {f" {' '.join(phrase)} " for phrase in query.phrases}
    for passage in passages:
        if not missing:
            break
        spaced = f" {' '.join(whole_words(passage))} "
        missing = {phrase for phrase in missing if phrase not in spaced}
    return not missing


def excerpt(query: Query, passages: Iterable[str], *, length: int = 100) -> str | None:
    """The part of the passage that holds most of what was asked for; the first of equals, nothing where none does.

    >>> excerpt(asked("timeout"), ["a note", "canceling statement due to lock timeout"], length=20)
    '… due to lock timeout'
    """
    best, most = None, 0
    for passage in passages:
        held = _held(query, passage)
        if held > most:
            best, most = passage, held
        if held == len(query.words) + len(query.prefixes):
            break
    return _around(query, " ".join(best.split()), length) if best else None


def _held(query: Query, passage: str) -> int:
    """How many of the words stand in a passage; taking it apart is left for one that has their letters."""
    letters = folded(passage)
    if not any(word in letters for word in (*query.words, *query.prefixes)):
        return 0
    found = set(words(passage))
    return sum(word in found for word in query.words) + sum(
        any(word.startswith(prefix) for word in found) for prefix in query.prefixes
    )


def _around(query: Query, text: str, length: int) -> str:
    """At most about `length` letters of a text, with the first word that was asked for among them."""
    lowered = text.lower()
    places = [place for place in map(lowered.find, (*query.words, *query.prefixes)) if place >= 0]
    start = max(0, min(min(places, default=0) - length // 4, len(text) - length))
    start = text.find(" ", start) + 1 if start else 0
    end = start + length
    return f"{'… ' if start else ''}{text[start:end].rstrip()}{' …' if end < len(text) else ''}"
