"""The workload: which statements cost the most, until now, since the last snapshot, and while we look on.

Where pg_stat_statements answers, its counters are read twice with a second in between. Where it does not,
pg_stat_activity is looked at every 50 ms for two seconds, and the share of looks at which a statement was seen running
stands for its time.
"""

import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf
from typing import Any
from weakref import WeakKeyDictionary

from pglast import fingerprint
from pglast.parser import ParseError

from ops_lib.model.errors import StatementFailed
from ops_lib.model.snapshot import Counters, Snapshot
from ops_lib.postgres import questions, statements
from ops_lib.postgres.session import Session

WINDOW_S = 1.0
SAMPLED_S = 2.0
SAMPLE_EVERY_S = 0.05
SAMPLES_KEPT_S = 10.0
CONSIDERED = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Costly:
    """A statement with its cost: `so_far` since the counters began, `since` the newest snapshot, `recent` while we
    looked, `before` as the baseline knew it.

    `share` is its part of the time of all statements. `sampled` counts are of what was seen in passing.
    """

    query_id: str | None
    text: str
    so_far: Counters
    since: Counters | None = None
    recent: Counters | None = None
    before: Counters | None = None
    share: float = 0.0
    nested: bool = False
    sampled: bool = False

    @property
    def now(self) -> Counters:
        """The latest counters that say something: at least one call."""
        return next((c for c in (self.recent, self.since) if c is not None and c.calls), self.so_far)

    @property
    def short(self) -> str:
        """The text in one line."""
        line = " ".join(self.text.split())
        return line if len(line) <= 160 else f"{line[:159]}…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The costliest statements first. `source` says how they are known; `notes` what could not be seen."""

    statements: tuple[Costly, ...]
    source: str
    notes: tuple[str, ...] = ()


_readings: WeakKeyDictionary[Session, list[statements.Reading]] = WeakKeyDictionary()
_looks: WeakKeyDictionary[Session, tuple[float, Workload]] = WeakKeyDictionary()


def begin(session: Session) -> None:
    """Takes a first reading, so that later ones need not wait for theirs; what fails here is said by those."""
    if session in _readings:
        return
    with suppress(StatementFailed):
        found = statements.extension(session)
        if not found.missing:
            _remember(session, statements.read(session, found))


def workload(session: Session, *, baseline: Snapshot | None, newest: Snapshot | None) -> Workload:
    """What runs here and what it costs."""
    try:
        found = statements.extension(session)
        if not found.missing:
            return _counted(session, found, baseline, newest)
        missing = found.missing
    except StatementFailed as error:
        missing = f"pg_stat_statements could not be read ({error.message})"
    return _sampled(session, missing)


def _counted(
    session: Session, found: statements.Extension, baseline: Snapshot | None, newest: Snapshot | None
) -> Workload:
    first, last = _two_readings(session, found)
    if last is None:
        return Workload(statements=(), source="pg_stat_statements", notes=("no statement has been counted yet",))
    old, known = _counters(baseline), _counters(newest)
    whole = sum(c.total_ms for query_id, c in last.counters.items() if query_id not in last.nested) or 1.0
    measured = [
        Costly(
            query_id=query_id,
            text="",
            so_far=counters,
            since=counters.since(known.get(query_id)) if newest and newest.statements is not None else None,
            recent=counters.since(first.counters.get(query_id)) if first else None,
            before=old.get(query_id),
            share=min(1.0, counters.total_ms / whole),
            nested=query_id in last.nested,
        )
        for query_id, counters in last.counters.items()
    ]
    chosen = _chosen(measured)
    words = statements.texts(session, found, [item.query_id for item in chosen if item.query_id])
    named = tuple(replace(item, text=words[item.query_id]) for item in chosen if item.query_id in words)
    return Workload(statements=named, source="pg_stat_statements", notes=_hidden(session, found))


def _two_readings(
    session: Session, found: statements.Extension
) -> tuple[statements.Reading | None, statements.Reading | None]:
    """An earlier reading of this session, at least `WINDOW_S` old, and one of now; waits where there is none."""
    last = _remember(session, statements.read(session, found))
    if last is None:
        return None, None
    age = [(last.at - earlier.at).total_seconds() for earlier in _readings[session]]
    if max(age) < WINDOW_S:
        time.sleep(WINDOW_S - max(age))
        last = _remember(session, statements.read(session, found)) or last
    ripe = [one for one in _readings[session] if (last.at - one.at).total_seconds() >= WINDOW_S * 0.9]
    return (ripe[-1] if ripe else None), last


def _remember(session: Session, reading: statements.Reading | None) -> statements.Reading | None:
    if reading is not None:
        _readings[session] = [*_readings.get(session, [])[-4:], reading]
    return reading


def _counters(snapshot: Snapshot | None) -> dict[str, Counters]:
    return {item.query_id: item.counters for item in snapshot.statements or ()} if snapshot else {}


def _chosen(measured: list[Costly]) -> list[Costly]:
    """The costliest by each way of counting."""
    ways: list[Any] = [
        lambda item: item.so_far.total_ms,
        lambda item: item.since.total_ms if item.since else 0.0,
        lambda item: item.recent.total_ms if item.recent else 0.0,
    ]
    best = {id(item): item for way in ways for item in sorted(measured, key=way, reverse=True)[:CONSIDERED]}
    return sorted(best.values(), key=lambda item: -item.so_far.total_ms)


def _hidden(session: Session, found: statements.Extension) -> tuple[str, ...]:
    count = statements.hidden(session, found)
    if not count:
        return ()
    return (f"{count} statements of other roles are hidden from this one: GRANT pg_read_all_stats or pg_monitor to it",)


def _sampled(session: Session, missing: str) -> Workload:
    """What is seen running when one looks again and again; a look of a moment ago is good enough."""
    taken, work = _looks.get(session, (-inf, None))
    if work is None or time.perf_counter() - taken > SAMPLES_KEPT_S:
        work = _look(session, missing)
        _looks[session] = (time.perf_counter(), work)
    return work


def _look(session: Session, missing: str) -> Workload:
    looks, seen = 0, defaultdict(list)
    started = time.perf_counter()
    while time.perf_counter() - started < SAMPLED_S:
        looks += 1
        for row in session.answer(questions.__name__, statements.STEM, "running"):
            if row["text"] and statements.is_work(row["text"]):
                seen[_fingerprint(row["text"])].append(row)
        time.sleep(SAMPLE_EVERY_S)
    every_ms = 1000 * (time.perf_counter() - started) / max(1, looks)
    sightings = sum(len(rows) for rows in seen.values()) or 1
    found = [_seen(rows, every_ms, len(rows) / sightings) for rows in seen.values()]
    found.sort(key=lambda item: -item.so_far.total_ms)
    notes = (missing, f"costs are estimated from {looks} looks at pg_stat_activity in {SAMPLED_S:.0f} s")
    return Workload(statements=tuple(found[:CONSIDERED]), source="pg_stat_activity", notes=notes)


def _seen(rows: list[dict[str, Any]], every_ms: float, share: float) -> Costly:
    """A statement met half-way through, on the average: it takes twice as long as it had been running when it was seen,
    and it was called as often as then fits into the time for which it was seen.
    """
    elapsed = [1000 * float(row["seconds"] or 0) for row in rows]
    total = max(len(rows) * every_ms, *elapsed)
    mean = max(2 * sum(elapsed) / len(elapsed), 0.01)
    calls = max(1, round(total / mean), len({(row["pid"], row["started_at"]) for row in rows}))
    counters = Counters(calls=calls, total_ms=total, square_ms=total**2 / calls)
    return Costly(query_id=None, text=rows[-1]["text"], so_far=counters, recent=counters, share=share, sampled=True)


def _fingerprint(text: str) -> str:
    """What statements that differ only in their constants have in common."""
    try:
        return str(fingerprint(text))
    except ParseError:
        return text


def relevant(items: Iterable[Costly]) -> list[Costly]:
    """Those that cost enough to be worth a look at their plan: called more than once or twice, and either slow or a
    real part of the whole.
    """
    return [item for item in items if _worth_a_look(item)]


def _worth_a_look(item: Costly) -> bool:
    if item.sampled:
        return item.so_far.total_ms >= 200
    most = max(item.so_far.mean_ms, item.now.mean_ms)
    often = item.so_far.calls >= 3 and item.so_far.total_ms >= 200
    return often and (most >= 20 or item.share >= 0.02)
