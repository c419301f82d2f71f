"""Scripts as parts, each of which is one transaction or one statement that no transaction can hold.

Parsed by PostgreSQL's own parser. The BEGIN and COMMIT of a file say what belongs together; they are never sent.
"""

# mypy: disable-error-code="union-attr"
# pglast types every field as optional, which in the parse tree of a valid statement these are not.

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ops_lib.model.errors import BadInput
from ops_lib.model.migration import Script
from ops_lib.postgres.sql_file import Statement, statements

_BEGIN = frozenset({"TRANS_STMT_BEGIN", "TRANS_STMT_START"})
_COMMIT = "TRANS_STMT_COMMIT"
_USELESS = frozenset({"TRANS_STMT_ROLLBACK", "TRANS_STMT_PREPARE"})
_ALONE = frozenset({
    "CreatedbStmt", "DropdbStmt", "CreateTableSpaceStmt", "DropTableSpaceStmt", "AlterSystemStmt",
    "CreateSubscriptionStmt", "DropSubscriptionStmt", "AlterDatabaseRefreshCollStmt",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is done at once. `alone` is one statement outside of any transaction, such as CREATE INDEX CONCURRENTLY."""

    statements: tuple[Statement, ...]
    alone: bool = False


def parts(script: Script) -> tuple[Part, ...]:
    """A script in the order in which it is done, with the lines of its file: one transaction, wherever it can be one.

    It is more than one part where the file says so, has more than one BEGIN ... COMMIT, or holds a statement that no
    transaction can hold: then each statement is a part, and each BEGIN ... COMMIT of the file. BadInput where it is not
    SQL that can be applied.

    >>> from pathlib import Path
    >>> [len(part.statements) for part in parts(Script(file=Path("a.sql"), text="BEGIN; SELECT 1; SELECT 2; COMMIT;"))]
    [2]
    >>> text = "CREATE INDEX CONCURRENTLY i ON t (a); SELECT 1; SELECT 2"
    >>> [part.alone for part in parts(Script(file=Path("a.sql"), text=text))]
    [True, False, False]
    """
    found = statements(script.text, str(script.file), script.first_line)
    for statement in found:
        _check(script, statement)
    several = sum(_bracket(statement) == _COMMIT for statement in found) > 1
    if script.transaction and not several and not any(stands_alone(statement.node) for statement in found):
        kept = tuple(statement for statement in found if not _bracket(statement))
        return (Part(statements=kept),) if kept else ()
    return tuple(_parted(script, found))


def body(script: Script) -> list[Statement]:
    """All statements of a script, whatever parts they are in."""
    return [statement for part in parts(script) for statement in part.statements]


def _parted(script: Script, found: list[Statement]) -> Iterator[Part]:
    opened: list[Statement] | None = None
    for statement in found:
        kind = _bracket(statement)
        if kind in _BEGIN:
            opened = []
        elif kind == _COMMIT:
            if opened:
                yield Part(statements=tuple(opened))
            opened = None
        elif opened is None:
            yield Part(statements=(statement,), alone=stands_alone(statement.node))
        elif stands_alone(statement.node):
            where = f"{script.file}, line {statement.line}"
            raise BadInput(f"{where}: no transaction can hold this", hint="move it behind the COMMIT of its file")
        else:
            opened.append(statement)
    if opened:
        raise BadInput(f"{script.file}: its last BEGIN has no COMMIT", hint="add it")


def _check(script: Script, statement: Statement) -> None:
    where = f"{script.file}, line {statement.line}"
    if _bracket(statement) in _USELESS:
        raise BadInput(f"{where}: what ends in ROLLBACK or PREPARE TRANSACTION changes nothing", hint="remove it")
    if type(statement.node).__name__ == "CopyStmt" and statement.node.filename is None:
        raise BadInput(f"{where}: COPY has no rows here", hint="write them as INSERT ... VALUES")


def _bracket(statement: Statement) -> str | None:
    """What a statement does to transactions, where it is one of those."""
    if type(statement.node).__name__ != "TransactionStmt":
        return None
    kind = str(statement.node.kind.name)
    return kind if kind in {*_BEGIN, _COMMIT, *_USELESS} else None


def stands_alone(node: Any) -> bool:
    """Whether PostgreSQL refuses a statement inside a transaction."""
    kind = type(node).__name__
    if kind == "VacuumStmt":
        return bool(node.is_vacuumcmd)
    if kind == "ReindexStmt":
        whole = node.kind.name in {"REINDEX_OBJECT_SCHEMA", "REINDEX_OBJECT_SYSTEM", "REINDEX_OBJECT_DATABASE"}
        return whole or any(option.defname == "concurrently" for option in node.params or ())
    if kind == "AlterTableStmt":
        return any(_detaches_concurrently(command) for command in node.cmds)
    if kind == "ClusterStmt":
        return node.relation is None
    if kind == "RefreshMatViewStmt":
        return False
    return kind in _ALONE or bool(getattr(node, "concurrent", False))


def _detaches_concurrently(command: Any) -> bool:
    return command.subtype.name == "AT_DetachPartition" and bool(getattr(command.def_, "concurrent", False))
