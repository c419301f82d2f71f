"""Taking a snapshot: a second at most, and without a lock that could wait behind somebody else's."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ops_lib.model.errors import StatementFailed
from ops_lib.model.snapshot import ColumnStatistics, IndexState, Snapshot, StatementState, TableState
from ops_lib.model.times import format_instant
from ops_lib.postgres import questions, statements
from ops_lib.postgres.session import Limits, Session

STEM = "catalog"
STATEMENTS_KEPT = 500
TEXT_KEPT = 4000
LIMITS = Limits(statement_ms=5_000, lock_ms=100)


def take(session: Session, now: datetime) -> Snapshot:
    """What catalog and statistics look like now; what could not be read is said in its notes."""
    with session.bounded(LIMITS):
        kept, notes = _statements(session)
        return Snapshot(
            taken_at=now,
            identity=session.identity,
            settings=_settings(session),
            tables=tables(session),
            indexes=indexes(session),
            columns=columns(session),
            statements=kept,
            notes=notes,
        )


def tables(session: Session, only: Sequence[str] | None = None) -> tuple[TableState, ...]:
    """All tables, or those of the given names, as catalog and statistics show them."""
    rows = session.answer(questions.__name__, STEM, "tables", {"only": only})
    for row in rows:
        row["analyzed_at"], row["vacuumed_at"] = _instant(row["analyzed_at"]), _instant(row["vacuumed_at"])
    return tuple(TableState(**row) for row in rows)


def indexes(session: Session, only: Sequence[str] | None = None) -> tuple[IndexState, ...]:
    """All indexes, or those of the given tables.

    The server's own wording is asked for only where an index has an expression or a predicate, and only where nobody
    holds or awaits the table for itself.
    """
    rows = session.answer(questions.__name__, STEM, "indexes", {"only": only})
    wording = _wording(session, [row["oid"] for row in rows if row["described"]])
    return tuple(_index(row, wording) for row in rows)


def _wording(session: Session, oids: list[int]) -> dict[int, str]:
    if not oids:
        return {}
    try:
        rows = session.answer(questions.__name__, STEM, "described", {"oids": oids})
    except StatementFailed:  # somebody came between the look at pg_locks and the answer
        return {}
    return {row["oid"]: row["shape"] for row in rows}


def _index(row: dict[str, Any], wording: dict[int, str]) -> IndexState:
    oid, described = row.pop("oid"), row.pop("described")
    shape = wording.get(oid, "") if described else row["shape"]
    return IndexState(**{**row, "columns": tuple(row["columns"]), "shape": shape or ""})


def columns(session: Session, only: Sequence[str] | None = None) -> tuple[ColumnStatistics, ...]:
    """What the planner believes about the columns of larger tables, or of the given ones."""
    rows = session.answer(questions.__name__, STEM, "columns", {"only": only})
    return tuple(ColumnStatistics(**row) for row in rows)


def _settings(session: Session) -> dict[str, str]:
    rows = [
        *session.answer(questions.__name__, STEM, "settings"),
        *session.answer(questions.__name__, STEM, "overrides"),
    ]
    return {row["name"]: row["value"] for row in rows}


def _statements(session: Session) -> tuple[tuple[StatementState, ...] | None, tuple[str, ...]]:
    """The statements that took the most time, or nothing and the reason."""
    try:
        found = statements.extension(session)
        if found.missing:
            return None, (found.missing,)
        reading = statements.read(session, found)
        return _costliest(session, found, reading), ()
    except StatementFailed as error:
        return None, (f"pg_stat_statements could not be read ({error.message})",)


def _costliest(
    session: Session, found: statements.Extension, reading: statements.Reading | None
) -> tuple[StatementState, ...]:
    if reading is None:
        return ()
    by_time = sorted(reading.counters.items(), key=lambda item: -item[1].total_ms)[:STATEMENTS_KEPT]
    words = statements.texts(session, found, [query_id for query_id, _ in by_time])
    return tuple(
        StatementState(query_id=query_id, text=words[query_id][:TEXT_KEPT], counters=counters)
        for query_id, counters in by_time
        if query_id in words
    )


def _instant(at: datetime | None) -> str | None:
    return format_instant(at) if at else None
