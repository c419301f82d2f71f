"""The aftermath of a change: what it left invalid, which views stand on it, and what the queries on it cost now."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from ops_lib.model.errors import StatementFailed
from ops_lib.postgres import plans, statements
from ops_lib.postgres.predicates import explainable
from ops_lib.postgres.session import Limits, Session

STEM = "aftermath"
ANALYZED = {"r": "table", "p": "partitioned table", "m": "materialized view", "f": "foreign table"}
COSTLIEST = 20
READ_LIMITS = Limits(statement_ms=10_000, lock_ms=500)
ANALYZE_LIMITS = Limits(statement_ms=300_000, lock_ms=500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A relation that there is."""

    name: str
    oid: int
    kind: str

    @property
    def analyzed(self) -> bool:
        """Whether it has statistics of its own."""
        return self.kind in ANALYZED


def relations(session: Session, names: Iterable[str]) -> list[Relation]:
    """Those of some names that are relations here, with their schema."""
    rows = session.answer(__package__, STEM, "tables", {"names": list(names)})
    return [Relation(**row) for row in rows]


def invalid(session: Session, found: Sequence[Relation]) -> list[str]:
    """Indexes and constraints that are not to be trusted, each in a few words."""
    rows = session.answer(__package__, STEM, "invalid", {"oids": [each.oid for each in found]})
    words = {"index": "is invalid", "constraint": "is not validated"}
    return [f"{row['kind']} {row['name']} on {row['on_table']} {words[row['kind']]}" for row in rows]


def broken_views(session: Session, found: Sequence[Relation]) -> tuple[int, list[str]]:
    """How many views depend on some relations, and which of them cannot be planned any more, and why."""
    views = session.answer(__package__, STEM, "views", {"oids": [each.oid for each in found]})
    broken = []
    for row in views:
        try:
            with session.bounded(READ_LIMITS):
                session.rows(sql.SQL("EXPLAIN SELECT * FROM {}").format(sql.SQL(row["name"])).as_string(None))
        except StatementFailed as error:
            broken.append(f"{row['name']}: {error.message}")
    return len(views), broken


def analyze(session: Session, found: Sequence[Relation]) -> list[str]:
    """Has the statistics of some relations made anew; those of which it could be done.

    One that another session works on is left to autovacuum, which comes for it by itself.
    """
    done = []
    for each in found:
        name = sql.SQL("ANALYZE {}").format(sql.SQL(each.name)).as_string(None)
        with suppress(StatementFailed), session.bounded(ANALYZE_LIMITS):
            session.rows(name)
            done.append(each.name)
    return done


def costs(session: Session, names: Sequence[str]) -> dict[str, dict[str, Any]] | None:
    """What the costliest statements that read some relations cost by the planner now, by query id.

    Nothing where statements are not counted here. Each has its text, its calls and mean so far, and the cost of its
    plan, which is the generic one.
    """
    found = statements.extension(session)
    if found.missing:
        return None
    reading = statements.read(session, found)
    if reading is None:
        return {}
    dearest = sorted(reading.counters, key=lambda query: -reading.counters[query].total_ms)
    texts = statements.texts(session, found, dearest[:500])
    told: dict[str, dict[str, Any]] = {}
    for query in dearest:
        cost = _cost(session, texts.get(query), names)
        if cost is not None:
            counters = reading.counters[query]
            mean = round(counters.total_ms / counters.calls, 3) if counters.calls else None
            told[query] = {"text": " ".join(texts[query].split())[:300], "calls": counters.calls, "mean_ms": mean,
                           "cost": cost}  # fmt: skip
        if len(told) == COSTLIEST:
            break
    return told


def _cost(session: Session, text: str | None, names: Sequence[str]) -> float | None:
    """The planner's cost of a statement; nothing where it reads none of these relations, or cannot be planned."""
    search = explainable(text) if text else None
    if search is None or not _reads(search.relations, names):
        return None
    with suppress(StatementFailed):
        return round(plans.present_plan(session, search).cost, 2)
    return None


def _reads(read: Sequence[tuple[str | None, str]], names: Sequence[str]) -> bool:
    wanted = {tuple(name.split(".")) for name in names} | {(name.split(".")[-1],) for name in names}
    return any((schema, name) in wanted if schema else (name,) in wanted for schema, name in read)


def compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The statements whose plans were seen twice, with what each cost before and costs now, the largest change first.

    >>> before = {"1": {"text": "SELECT", "cost": 100.0, "mean_ms": 5.0, "calls": 2}}
    >>> compared(before, {"1": {"text": "SELECT", "cost": 25.0}})
    [{'query': '1', 'text': 'SELECT', 'total_ms': 10.0, 'before': 100.0, 'after': 25.0, 'change': -0.75}]
    """
    both = [query for query in before if query in after and before[query]["cost"]]
    told = [
        {"query": query, "text": before[query]["text"],
         "total_ms": (before[query]["mean_ms"] or 0.0) * before[query]["calls"],
         "before": before[query]["cost"], "after": after[query]["cost"],
         "change": round(after[query]["cost"] / before[query]["cost"] - 1, 4)}
        for query in both
    ]  # fmt: skip
    return sorted(told, key=lambda row: -abs(row["change"]))
