"""What migrations touch: the tables that they name, and the columns that they add."""

# mypy: disable-error-code="union-attr"
# pglast types every field as optional, which in the parse tree of a valid statement these are not.

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ops_lib.model.migration import Script
from ops_lib.postgres.migrations.script import body
from ops_lib.postgres.objects import objects_in
from ops_lib.postgres.sql_file import Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """The statements of some scripts in order, the relations that they name, and the columns that they add to them."""

    statements: tuple[str, ...]
    relations: tuple[str, ...]
    columns: tuple[str, ...]


def touched(scripts: Iterable[Script]) -> Touched:
    """What scripts do, read from their text alone.

    >>> from pathlib import Path
    >>> text = "BEGIN; ALTER TABLE raw.a ADD COLUMN b int, ADD c int; COMMIT;"
    >>> found = touched([Script(file=Path("a.sql"), text=text)])
    >>> found.relations, found.columns
    (('raw.a',), ('raw.a.b', 'raw.a.c'))
    """
    statements = [statement for script in scripts for statement in body(script)]
    return Touched(
        statements=tuple(statement.text for statement in statements),
        relations=tuple(objects_in([statement.text for statement in statements])),
        columns=tuple(dict.fromkeys(column for statement in statements for column in _added(statement))),
    )


def _added(statement: Statement) -> Iterator[str]:
    node: Any = statement.node
    if type(node).__name__ != "AlterTableStmt":
        return
    table = ".".join(filter(None, (node.relation.schemaname, node.relation.relname)))
    for command in node.cmds:
        if command.subtype.name == "AT_AddColumn":
            yield f"{table}.{command.def_.colname}"
