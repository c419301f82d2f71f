"""Constraints: added without a scan under a lock, and proven in a transaction of their own."""

# mypy: disable-error-code="union-attr,index,arg-type"

from collections.abc import Iterator
from typing import Final

from pglast import ast

from ops_lib.postgres.lint.act import Act
from ops_lib.postgres.lint.locks import ACCESS_EXCLUSIVE, SHARE, SHARE_ROW_EXCLUSIVE, TABLES
from ops_lib.postgres.lint.notice import CRITICAL, INFO, WARNING, Notice, Rule
from ops_lib.postgres.lint.proofs import proves_not_null
from ops_lib.postgres.lint.story import Story

_VALIDATE: Final = "add it NOT VALID, and VALIDATE CONSTRAINT in a later transaction"
_NOBODY: Final = "nobody can read or write while all rows are checked"
_WRITERS: Final = "nobody can write here, nor to the other table, while all rows are checked"
_SCANNED: Final = {
    "CONSTR_CHECK": ("check-without-not-valid", ACCESS_EXCLUSIVE, _NOBODY),
    "CONSTR_FOREIGN": ("foreign-key-without-not-valid", SHARE_ROW_EXCLUSIVE, _WRITERS),
    "CONSTR_NOTNULL": ("set-not-null", ACCESS_EXCLUSIVE, _NOBODY),
}
_BUILT: Final = {
    "CONSTR_UNIQUE": "unique-without-index",
    "CONSTR_PRIMARY": "primary-key-without-index",
}
_USING: Final = "CREATE UNIQUE INDEX CONCURRENTLY first, then ADD CONSTRAINT ... USING INDEX"


def _added(act: Act) -> Iterator[ast.Constraint]:
    """The constraints that an act adds to a table, those of a new column too."""
    if not isinstance(act.node, ast.AlterTableStmt) or act.node.objtype.name not in TABLES:
        return
    if act.does == "AT_AddConstraint":
        yield act.command.def_
    if act.does == "AT_AddColumn":
        yield from act.command.def_.constraints or ()


def _has_value(column: ast.ColumnDef) -> bool:
    """Whether old rows get a value in a new column: without one, its foreign key needs no look at them."""
    return any(each.contype.name in ("CONSTR_DEFAULT", "CONSTR_GENERATED") for each in column.constraints or ())


def without_not_valid(act: Act, story: Story) -> Iterator[Notice]:
    for constraint in _added(act):
        kind = constraint.contype.name
        of_column = act.does == "AT_AddColumn"
        if kind not in _SCANNED or constraint.skip_validation or (of_column and kind == "CONSTR_NOTNULL"):
            continue
        rule, lock, effect = _SCANNED[kind]
        table = story.name(act.node.relation)
        if kind == "CONSTR_NOTNULL" and proves_not_null(story, table, constraint.keys[0].sval):
            continue
        severity = CRITICAL
        if of_column and kind == "CONSTR_FOREIGN" and not _has_value(act.command.def_):
            severity, effect = WARNING, "nobody can write here, nor to the other table, until the transaction ends"
        yield Notice(rule=rule, severity=severity, subject=table, lock=lock, effect=effect, remedy=_VALIDATE)


def validated_at_once(act: Act, story: Story) -> Iterator[Notice]:
    if act.does != "AT_ValidateConstraint":
        return
    table = story.name(act.node.relation)
    check = story.checks.get((table, act.command.name))
    if check is not None and check.node is not None and check.transaction == story.transaction:
        yield Notice(
            rule="validated-in-same-transaction",
            severity=CRITICAL,
            subject=table,
            lock=SHARE_ROW_EXCLUSIVE if check.node.contype.name == "CONSTR_FOREIGN" else ACCESS_EXCLUSIVE,
            effect="the lock under which the constraint was added is kept while all rows are checked",
            remedy="VALIDATE CONSTRAINT in a later transaction than ADD CONSTRAINT ... NOT VALID",
        )


def set_not_null(act: Act, story: Story) -> Iterator[Notice]:
    if act.does != "AT_SetNotNull":
        return
    table, column = story.name(act.node.relation), act.command.name
    if not proves_not_null(story, table, column):
        yield Notice(
            rule="set-not-null",
            severity=CRITICAL,
            subject=table,
            lock=ACCESS_EXCLUSIVE,
            effect=f"nobody can read or write while all rows are searched for a null in {column}",
            remedy=f"first a CHECK ({column} IS NOT NULL) NOT VALID, validated in a later transaction",
        )


def built_with_its_index(act: Act, story: Story) -> Iterator[Notice]:
    for constraint in _added(act):
        rule = _BUILT.get(constraint.contype.name)
        if rule and constraint.indexname is None:
            yield Notice(
                rule=rule,
                severity=CRITICAL,
                subject=story.name(act.node.relation),
                lock=ACCESS_EXCLUSIVE,
                effect="nobody can read or write while its index is built",
                remedy=_USING,
            )


def exclusion(act: Act, story: Story) -> Iterator[Notice]:
    for constraint in _added(act):
        if constraint.contype.name == "CONSTR_EXCLUSION":
            yield Notice(
                rule="exclusion-constraint",
                severity=CRITICAL,
                subject=story.name(act.node.relation),
                lock=ACCESS_EXCLUSIVE,
                effect="nobody can read or write while its index is built, and no index can be built beforehand",
                remedy="add it to a new table and move the rows there, or in a maintenance window",
            )


def domain_constraint(act: Act, story: Story) -> Iterator[Notice]:
    node = act.node
    if not isinstance(node, ast.AlterDomainStmt) or node.subtype not in ("C", "O"):
        return
    if node.subtype == "O" or not node.def_.skip_validation:
        yield Notice(
            rule="domain-constraint",
            severity=CRITICAL,
            subject=story.dotted(node.typeName),
            lock=SHARE,
            effect="nobody can write to a table that uses this domain while all of their rows are checked",
            remedy="add it NOT VALID, and ALTER DOMAIN ... VALIDATE CONSTRAINT in a later transaction",
        )


def referenced_by_a_new_table(act: Act, story: Story) -> Iterator[Notice]:
    if not isinstance(act.node, ast.CreateStmt):
        return
    elements = act.node.tableElts or ()
    constraints = [each for each in elements if isinstance(each, ast.Constraint)]
    constraints += [one for each in elements if isinstance(each, ast.ColumnDef) for one in each.constraints or ()]
    for table in sorted({story.name(each.pktable) for each in constraints if each.pktable}):
        yield Notice(
            rule="referenced-by-a-new-table",
            severity=INFO,
            subject=table,
            lock=SHARE_ROW_EXCLUSIVE,
            effect="writers wait until the transaction that makes the new table has ended",
            remedy="keep the transaction short",
        )


RULES: Final[tuple[Rule, ...]] = (
    without_not_valid, validated_at_once, set_not_null, built_with_its_index, exclusion, domain_constraint,
    referenced_by_a_new_table,
)  # fmt: skip
