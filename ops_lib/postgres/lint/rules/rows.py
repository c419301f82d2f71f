"""Rows: changed in batches, and never lost by the way."""

# mypy: disable-error-code="union-attr,misc"

from collections.abc import Iterator
from typing import Any, Final

from pglast import ast

from ops_lib.postgres.lint.act import Act
from ops_lib.postgres.lint.batches import Share, share
from ops_lib.postgres.lint.locks import ACCESS_EXCLUSIVE, ROW_EXCLUSIVE
from ops_lib.postgres.lint.names import walk
from ops_lib.postgres.lint.notice import CRITICAL, WARNING, Notice, Rule
from ops_lib.postgres.lint.story import Story

_BATCHES: Final = "in batches by key, each in a transaction of its own: a file of its own that says `-- Batches: yes`"
_PIECEMEAL: Final = "in batches by key range, each in a transaction of its own"
_LOCKED: Final = "every row that it touches stays locked until the last one is done"
_OF_TABLES: Final = frozenset({"OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"})


def _changes(act: Act) -> Iterator[Any]:
    """The UPDATEs and DELETEs of a statement, also those in WITH."""
    if isinstance(act.node, ast.UpdateStmt | ast.DeleteStmt | ast.InsertStmt | ast.SelectStmt | ast.MergeStmt):
        yield from (each for each in walk(act.node) if isinstance(each, ast.UpdateStmt | ast.DeleteStmt))


def unbatched_update(act: Act, story: Story) -> Iterator[Notice]:
    for node in _changes(act):
        touched = share(node, act.node)
        if isinstance(node, ast.UpdateStmt) and touched is not Share.BATCH:
            yield Notice(
                rule="unbatched-update",
                severity=WARNING if touched is Share.SOME else CRITICAL,
                subject=story.name(node.relation),
                lock=ROW_EXCLUSIVE,
                effect=_LOCKED,
                remedy=_BATCHES,
            )


def unbounded_delete(act: Act, story: Story) -> Iterator[Notice]:
    for node in _changes(act):
        touched = share(node, act.node)
        if not isinstance(node, ast.DeleteStmt) or touched is Share.BATCH:
            continue
        everything = node.whereClause is None and not node.usingClause
        yield Notice(
            rule="delete-without-where" if everything else "unbatched-delete",
            severity=CRITICAL if everything else WARNING,
            subject=story.name(node.relation),
            lock=ROW_EXCLUSIVE,
            effect="all rows are lost" if everything else _LOCKED,
            remedy="say which rows in WHERE" if everything else _PIECEMEAL,
        )


def unbatched_merge(act: Act, story: Story) -> Iterator[Notice]:
    node = act.node
    if not isinstance(node, ast.MergeStmt) or not isinstance(node.sourceRelation, ast.RangeVar):
        return
    if any(each.commandType.name in ("CMD_UPDATE", "CMD_DELETE") for each in node.mergeWhenClauses):
        yield Notice(
            rule="unbatched-update",
            severity=WARNING,
            subject=story.name(node.relation),
            lock=ROW_EXCLUSIVE,
            effect=_LOCKED,
            remedy=_PIECEMEAL,
        )


def truncate(act: Act, story: Story) -> Iterator[Notice]:
    if not isinstance(act.node, ast.TruncateStmt):
        return
    more = ", and those of all tables that refer to it" if act.node.behavior.name == "DROP_CASCADE" else ""
    for table in act.node.relations:
        yield Notice(
            rule="truncate",
            severity=CRITICAL,
            subject=story.name(table),
            lock=ACCESS_EXCLUSIVE,
            effect=f"all rows are lost{more}",
            remedy="keep a backup, see SOP-002; nothing brings them back after the commit",
        )


def drop_cascade(act: Act, story: Story) -> Iterator[Notice]:
    node = act.node
    if not isinstance(node, ast.DropStmt | ast.DropOwnedStmt) or node.behavior.name != "DROP_CASCADE":
        return
    for subject in _dropped(node, story):
        yield Notice(
            rule="drop-cascade",
            severity=CRITICAL,
            subject=subject,
            lock=ACCESS_EXCLUSIVE,
            effect="takes along everything that depends on it, without a word",
            remedy="drop what depends on it by name first, then without CASCADE",
        )


def _dropped(node: Any, story: Story) -> list[str]:
    if isinstance(node, ast.DropOwnedStmt):
        return [f"role {role.rolename}" for role in node.roles]
    return [_object(each, node.removeType.name, story) for each in node.objects]


def _object(each: Any, kind: str, story: Story) -> str:
    """The name of what is dropped: for a trigger, a policy or a rule that of its table."""
    if isinstance(each, ast.ObjectWithArgs | ast.TypeName):
        each = each.objname if isinstance(each, ast.ObjectWithArgs) else each.names
    if isinstance(each, ast.String):
        return str(each.sval)
    names = [part for part in each or () if isinstance(part, ast.String)]
    names = names[:-1] if kind in _OF_TABLES else names
    return story.dotted(names) if names else "database"


def drop_constraint_cascade(act: Act, story: Story) -> Iterator[Notice]:
    if act.does == "AT_DropConstraint" and act.command.behavior.name == "DROP_CASCADE":
        yield Notice(
            rule="drop-cascade",
            severity=CRITICAL,
            subject=story.name(act.node.relation),
            lock=ACCESS_EXCLUSIVE,
            effect=f"takes along the foreign keys of other tables that depend on {act.command.name}, without a word",
            remedy="drop them by name first, then without CASCADE",
            rows=False,
        )


RULES: Final[tuple[Rule, ...]] = (
    unbatched_update, unbounded_delete, unbatched_merge, truncate, drop_cascade, drop_constraint_cascade,
)  # fmt: skip
