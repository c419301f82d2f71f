"""Names and shapes that others rely on: renamed, moved, or changed while they are in use."""

# mypy: disable-error-code="union-attr,index,arg-type"

from collections.abc import Iterator
from typing import Final

from pglast import ast

from ops_lib.postgres.lint.act import Act
from ops_lib.postgres.lint.locks import ACCESS_EXCLUSIVE
from ops_lib.postgres.lint.notice import CRITICAL, WARNING, Notice, Rule
from ops_lib.postgres.lint.story import Story

_RENAMED: Final = frozenset({"OBJECT_TABLE", "OBJECT_COLUMN", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"})
_ONE_COLUMN: Final = "a view of the old name for as long as something reads it"
_TWO_COLUMNS: Final = "add a column of the new name, keep both in step until nothing reads the old one, then drop that"


def rename(act: Act, story: Story) -> Iterator[Notice]:
    node = act.node
    if not isinstance(node, ast.RenameStmt) or node.relation is None or node.renameType.name not in _RENAMED:
        return
    column = node.renameType.name == "OBJECT_COLUMN"
    yield Notice(
        rule="rename-column" if column else "rename-table",
        severity=WARNING,
        subject=story.name(node.relation),
        lock=ACCESS_EXCLUSIVE,
        effect=f"what still reads {node.subname or node.relation.relname} fails at once",
        remedy=_TWO_COLUMNS if column else _ONE_COLUMN,
    )


def rename_schema(act: Act, story: Story) -> Iterator[Notice]:
    node = act.node
    if isinstance(node, ast.RenameStmt) and node.renameType.name == "OBJECT_SCHEMA":
        effect = "what still names it fails at once"
        yield Notice(rule="rename-schema", severity=WARNING, subject=node.subname, effect=effect, remedy=_ONE_COLUMN)


def set_schema(act: Act, story: Story) -> Iterator[Notice]:
    if isinstance(act.node, ast.AlterObjectSchemaStmt) and act.node.relation is not None:
        yield Notice(
            rule="rename-table",
            severity=WARNING,
            subject=story.name(act.node.relation),
            lock=ACCESS_EXCLUSIVE,
            effect=f"what still looks for it in its old schema fails at once; it is in {act.node.newschema} now",
            remedy=_ONE_COLUMN,
        )


def alter_composite_type(act: Act, story: Story) -> Iterator[Notice]:
    if isinstance(act.node, ast.AlterTableStmt) and act.node.objtype.name == "OBJECT_TYPE":
        yield Notice(
            rule="alter-composite-type",
            severity=CRITICAL if act.does == "AT_AlterColumnType" else WARNING,
            subject=story.name(act.node.relation),
            lock=ACCESS_EXCLUSIVE,
            effect="fails where a column has this type; with CASCADE the typed tables are locked too",
            remedy="make a new type, and move the columns that use the old one",
        )


RULES: Final[tuple[Rule, ...]] = (rename, rename_schema, set_schema, alter_composite_type)
