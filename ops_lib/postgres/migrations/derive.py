"""Derived reverts: what undoes a migration that only adds, read from the catalog before and after each statement.

A statement that adds what was there already, by IF NOT EXISTS, is undone by nothing. What takes away, changes what was
there, or cannot be told, has no derived revert; what loses data needs SOP-002. A derived revert is a proposal: the
rehearsal shows whether it leads back.
"""

# mypy: disable-error-code="union-attr"
# pglast types every field as optional, which in the parse tree of a valid statement these are not.

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from ops_lib.model.migration import Script
from ops_lib.postgres.migrations.script import stands_alone
from ops_lib.postgres.questions import served
from ops_lib.postgres.sql_file import Statement

_ADDS = frozenset({
    "CreateStmt", "CreateTableAsStmt", "IndexStmt", "ViewStmt", "CreateFunctionStmt", "CreateEnumStmt",
    "CompositeTypeStmt", "CreateDomainStmt", "CreateRangeStmt", "CreateSchemaStmt", "CreateSeqStmt", "CreateTrigStmt",
    "CreateExtensionStmt", "CreatePolicyStmt", "CreateStatsStmt", "CreateForeignTableStmt", "CommentStmt", "GrantStmt",
})  # fmt: skip
_ADDING_COMMANDS = frozenset({"AT_AddColumn", "AT_AddConstraint", "AT_ColumnDefault", "AT_SetNotNull"})
_SETTINGS = frozenset({"VariableSetStmt", "VariableShowStmt"})
_CHANGES = {
    "DropStmt": "drops something", "UpdateStmt": "changes rows", "DeleteStmt": "deletes rows",
    "InsertStmt": "adds rows", "MergeStmt": "changes rows", "TruncateStmt": "empties a table",
    "AlterEnumStmt": "adds a value to a type, which cannot be taken away", "DoStmt": "is a block that may do anything",
    "SelectStmt": "calls what may do anything", "RenameStmt": "gives something another name",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Thing:
    """Something in a database: what undoes its making, what it is, and what it comes and goes with."""

    rank: int
    undo: str
    definition: str | None
    part_of: str | None


class Derivation:
    """The revert of one script, while its statements are performed. To be told of each as an `Observer` is."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._things: dict[str, _Thing] = {}
        self._new: set[str] = set()
        self._undo: list[str] = []

    def __call__(self, connection: psycopg.Connection, statement: Statement | None) -> None:
        if self.reason:
            return
        before, self._things = self._things, _things(connection)
        if statement is None:
            return
        self.reason = self._why_not(statement, before)
        if self.reason is None:
            self._undo[:0] = self._undone(statement, before)
            self._new |= self._things.keys() - before.keys()

    def script(self, up: Script) -> Script | None:
        """The revert, or nothing where there is a reason against it. It may have nothing to undo."""
        return None if self.reason else derived(up, "".join(f"{undo};\n" for undo in self._undo))

    def _why_not(self, statement: Statement, before: Mapping[str, _Thing]) -> str | None:
        where = f"line {statement.line}"
        if why := self._kind_against(statement):
            return f"{where} {why}"
        if gone := sorted(before.keys() - self._things.keys() - self._new):
            return f"{where} takes away {gone[0]}"
        kept = before.keys() & self._things.keys()
        changed = (name for name in sorted(kept) if self._things[name].definition != before[name].definition)
        touched = next((name for name in changed if name not in self._new), None)
        return f"{where} changes {touched}, which was there before" if touched else None

    def _kind_against(self, statement: Statement) -> str | None:
        node, kind = statement.node, type(statement.node).__name__
        if kind in _ADDS or kind in _SETTINGS or self._about_new(node, kind):
            return None
        if kind == "AlterTableStmt":
            wrong = (cmd for cmd in node.cmds if cmd.subtype.name not in _ADDING_COMMANDS)
            found = next(wrong, None)
            return f"alters what was there before ({found.subtype.name.removeprefix('AT_')})" if found else None
        return _CHANGES.get(kind, "is not among the statements that only add")

    def _about_new(self, node: Any, kind: str) -> bool:
        """Whether a statement only concerns a table that this script has made, and that goes away with all of it."""
        if kind not in {"InsertStmt", "UpdateStmt", "DeleteStmt", "AlterTableStmt"}:
            return False
        relation = node.relation
        ends = f"{relation.schemaname or ''}.{relation.relname}".replace('"', "")
        return any(name.startswith("relation ") and name.replace('"', "").endswith(ends) for name in self._new)

    def _undone(self, statement: Statement, before: Mapping[str, _Thing]) -> list[str]:
        """What undoes one statement: the last made first, and nothing that goes with something else."""
        made = {name: thing for name, thing in self._things.items() if name not in before}
        tops = [thing for thing in made.values() if thing.part_of not in made and thing.part_of not in self._new]
        undo = [thing.undo for thing in sorted(tops, key=lambda thing: -thing.rank)]
        if stands_alone(statement.node):
            undo = [text.replace("DROP INDEX ", "DROP INDEX CONCURRENTLY ", 1) for text in undo]
        return undo


def derived(up: Script, text: str) -> Script:
    """A text that was derived, as a script."""
    return Script(file=up.file.with_suffix(".derived.sql"), text=text)


def _things(connection: psycopg.Connection) -> dict[str, _Thing]:
    asked = served(__package__, "derive", connection.info.server_version)["objects"]
    return {
        name: _Thing(rank=rank, undo=undo, definition=definition, part_of=part_of)
        for rank, name, undo, definition, part_of in connection.execute(asked.encode(), {})
    }
