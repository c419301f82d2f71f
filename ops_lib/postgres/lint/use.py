"""Use: how large the tables of a live target are, and who uses them, asked without waiting for a lock."""

from collections.abc import Iterable, Sequence
from typing import Any

from pglast import ast
from psycopg.rows import dict_row

from ops_lib.model.lint import TableUse
from ops_lib.model.migration import Script
from ops_lib.postgres.lint.act import placed
from ops_lib.postgres.lint.locks import locks
from ops_lib.postgres.lint.names import walk
from ops_lib.postgres.lint.observing import observe
from ops_lib.postgres.lint.story import Story
from ops_lib.postgres.questions import served
from ops_lib.postgres.sql_file import Connection

_PACKAGE, _STEM = __package__ or "", "table_use"


def tables(scripts: Sequence[Script]) -> tuple[str, ...]:
    """The relations that scripts name, as findings call them: those in DO blocks too, each with its schema."""
    story = Story()
    found: set[str] = set()
    for script in scripts:
        story.open_file()
        for act in (act for place in placed(script) for act in place.acts):
            found |= {story.name(node) for node in walk(act.node) if isinstance(node, ast.RangeVar)}
            found |= {table for table, _ in locks(act, story)}
            observe(act, story)
    return tuple(sorted(found))


def table_use(connection: Connection, names: Iterable[str]) -> dict[str, TableUse]:
    """What a target says about its tables, by name; nothing about those that it does not have.

    A bare name is looked for in public.
    """
    wanted = sorted({name if "." in name else f"public.{name}" for name in names})
    proven = {row["name"]: row["checks"] for row in _answer(connection, "checks", wanted)}
    return {
        row["name"]: TableUse(
            size_bytes=row["size_bytes"],
            rows=row["rows"],
            writes=row["writes"],
            reads=row["reads"],
            applications=tuple(row["applications"]),
            columns=row["columns"],
            checks=tuple(proven.get(row["name"], ())),
        )
        for row in _answer(connection, "size", wanted)
    }


def _answer(connection: Connection, question: str, names: list[str]) -> list[dict[str, Any]]:
    statement = served(_PACKAGE, _STEM, connection.info.server_version)[question]
    return connection.cursor(row_factory=dict_row).execute(statement.encode(), {"names": names}).fetchall()
