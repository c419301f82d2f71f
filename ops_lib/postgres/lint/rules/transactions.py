"""Transactions: what waits without an end, locks too much at once, or hides from those who read the file."""

# mypy: disable-error-code="union-attr"

from collections.abc import Iterator
from typing import Final

from pglast import ast

from ops_lib.postgres.lint.act import Act
from ops_lib.postgres.lint.locks import ACCESS_EXCLUSIVE, BLOCKING, locked_out, locks
from ops_lib.postgres.lint.names import kind, strings
from ops_lib.postgres.lint.notice import CRITICAL, INFO, WARNING, Notice, Rule
from ops_lib.postgres.lint.story import Story
from ops_lib.postgres.migrations.script import stands_alone

_HARMLESS: Final = frozenset({
    "DoStmt", "SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "VariableSetStmt", "CallStmt",
    "TransactionStmt", "GrantStmt", "CommentStmt", "NotifyStmt", "CopyStmt", "ExplainStmt", "GrantRoleStmt",
})  # fmt: skip
_MAKES: Final = ("Create", "Define", "CompositeType", "View")


def no_lock_timeout(act: Act, story: Story) -> Iterator[Notice]:
    if story.bounded or story.warned_of_timeout:
        return
    for table, lock in locks(act, story):
        if lock in BLOCKING:
            yield Notice(
                rule="no-lock-timeout",
                severity=INFO if story.runner else WARNING,
                subject=table,
                lock=lock,
                effect="waits without an end behind one long reader, and all who come after it wait too",
                remedy="SET lock_timeout = '2s' at the top of the file, and try again where it ends",
                rows=False,
            )
            return


def two_locked_tables(act: Act, story: Story) -> Iterator[Notice]:
    held = set(story.exclusive)
    for table in dict.fromkeys(locked_out(act, story)):
        if held and table not in held:
            others = ", ".join(sorted(held))
            yield Notice(
                rule="two-locked-tables",
                severity=WARNING,
                subject=table,
                lock=ACCESS_EXCLUSIVE,
                effect=f"taken while holding {others}: all stop until the last one is free, or it ends in a deadlock",
                remedy="a file for each table",
                rows=False,
            )
        held.add(table)


def not_in_a_transaction(act: Act, story: Story) -> Iterator[Notice]:
    if act.bracketed and not act.in_do and stands_alone(act.node):
        names = [table for table, _ in locks(act, story)]
        yield Notice(
            rule="not-in-a-transaction",
            severity=CRITICAL,
            subject=names[0] if names else "database",
            effect="fails: no transaction can hold this",
            remedy="put it into a file of its own with the header line `-- transaction: no`",
            rows=False,
        )


def ddl_in_do(act: Act, story: Story) -> Iterator[Notice]:
    if not act.in_do or kind(act.node) in _HARMLESS:
        return
    tables = [table for table, _ in locks(act, story)]
    makes = kind(act.node).startswith(_MAKES) and not tables
    yield Notice(
        rule="ddl-in-do",
        severity=INFO if makes or _only_new(act, story) else WARNING,
        subject=tables[0] if tables else "database",
        effect="what a DO block changes depends on what it finds: the plan cannot show it, nor can it be reviewed",
        remedy="write the statement into the file as it is",
        rows=False,
    )


def _only_new(act: Act, story: Story) -> bool:
    """Whether it is about a table that nobody uses yet."""
    table = getattr(act.node, "relation", None)
    return isinstance(table, ast.RangeVar) and story.is_new(story.name(table))


def enum_value_used_at_once(act: Act, story: Story) -> Iterator[Notice]:
    if isinstance(act.node, ast.AlterEnumStmt | ast.DoStmt):
        return
    node = act.command if act.command is not None else act.node
    for value in sorted(strings(node) & story.enum_values.keys()):
        name, transaction = story.enum_values[value]
        if transaction == story.transaction:
            yield Notice(
                rule="enum-value-used-at-once",
                severity=WARNING,
                subject=name,
                effect=f"fails: the new value {value!r} cannot be used before the transaction that adds it has ended",
                remedy="ALTER TYPE ... ADD VALUE in a file of its own, before this one",
                rows=False,
            )


RULES: Final[tuple[Rule, ...]] = (
    no_lock_timeout, two_locked_tables, not_in_a_transaction, ddl_in_do, enum_value_used_at_once,
)  # fmt: skip
