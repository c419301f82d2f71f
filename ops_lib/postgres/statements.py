"""Statements: what runs in the target and what it costs, by pg_stat_statements, or by looking on where it is not there.

Statements of this project's own sessions are left out: `Session` marks them in their text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from ops_lib.model.errors import StatementFailed
from ops_lib.model.snapshot import Counters
from ops_lib.postgres import questions
from ops_lib.postgres.questions import MARK
from ops_lib.postgres.session import Session

STEM = "statements"
_WORK = re.compile(
    r"\s*\(?\s*(select|insert|update|delete|merge|with|values|table|call|execute|fetch|copy|refresh)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The counters of all statements of this database by query id, at one time of the server's clock."""

    at: datetime
    counters: dict[str, Counters]
    nested: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """pg_stat_statements in this database, or why it answers nothing."""

    schema: str | None
    missing: str | None = None

    @property
    def names(self) -> dict[str, str]:
        schema = self.schema or ""
        return {
            name: sql.Identifier(schema, name).as_string() for name in ("pg_stat_statements", "pg_stat_statements_info")
        }


def extension(session: Session) -> Extension:
    (home,) = session.answer(questions.__name__, STEM, "home")
    if home["schema"] is None:
        todo = "" if home["loaded"] else "add it to shared_preload_libraries, restart, and "
        return Extension(schema=None, missing=f"pg_stat_statements is not installed: {todo}CREATE EXTENSION it")
    found = Extension(schema=home["schema"])
    try:
        session.answer(questions.__name__, STEM, "reset", **found.names)
    except StatementFailed as error:
        return Extension(schema=None, missing=f"pg_stat_statements does not answer ({error.message})")
    return found


def read(session: Session, found: Extension) -> Reading | None:
    """What each statement has cost until now; nothing where no statement was counted."""
    rows = session.answer(questions.__name__, STEM, "counters", **found.names)
    if not rows:
        return None
    nested = frozenset(row["query_id"] for row in rows if not row.pop("toplevel"))
    at = rows[0]["at"]
    return Reading(
        at=at,
        counters={
            row["query_id"]: Counters(**{name: row[name] for name in row if name not in ("at", "query_id")})
            for row in rows
        },
        nested=nested,
    )


def texts(session: Session, found: Extension, query_ids: Sequence[str]) -> dict[str, str]:
    """What these statements say, without our own and without what only steers a session."""
    rows = session.answer(questions.__name__, STEM, "texts", {"query_ids": list(query_ids)}, **found.names)
    return {row["query_id"]: row["text"] for row in rows if row["text"] and is_work(row["text"])}


def is_work(text: str) -> bool:
    """Whether a statement is the target's own work: no BEGIN or SET, and none of this project's.

    >>> is_work("SELECT 1"), is_work("BEGIN"), is_work("SELECT /* runbook */ 1")
    (True, False, False)
    """
    return MARK not in text and _WORK.match(text) is not None


def hidden(session: Session, found: Extension) -> int:
    """How many statements of other roles this one may not see."""
    (row,) = session.answer(questions.__name__, STEM, "hidden", **found.names)
    return int(row["hidden"])
