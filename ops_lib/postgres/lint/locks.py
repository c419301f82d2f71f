"""Locks: which of PostgreSQL's table locks an act takes, on which tables that were there before."""

# mypy: disable-error-code="union-attr,index"

from collections.abc import Callable, Iterator
from typing import Final

from ops_lib.postgres.lint.act import Act
from ops_lib.postgres.lint.names import kind
from ops_lib.postgres.lint.story import Story

ACCESS_EXCLUSIVE: Final = "ACCESS EXCLUSIVE"
EXCLUSIVE: Final = "EXCLUSIVE"
SHARE_ROW_EXCLUSIVE: Final = "SHARE ROW EXCLUSIVE"
SHARE: Final = "SHARE"
SHARE_UPDATE_EXCLUSIVE: Final = "SHARE UPDATE EXCLUSIVE"
ROW_EXCLUSIVE: Final = "ROW EXCLUSIVE"
MODES: Final = (
    "", "ACCESS SHARE", "ROW SHARE", ROW_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE, SHARE, SHARE_ROW_EXCLUSIVE, EXCLUSIVE,
    ACCESS_EXCLUSIVE,
)  # fmt: skip
BLOCKING: Final = frozenset({ACCESS_EXCLUSIVE, EXCLUSIVE, SHARE_ROW_EXCLUSIVE, SHARE})
TABLES: Final = frozenset({"OBJECT_TABLE", "OBJECT_FOREIGN_TABLE", "OBJECT_MATVIEW"})

_QUIET = frozenset({
    "AT_SetStatistics", "AT_SetOptions", "AT_ResetOptions", "AT_ClusterOn", "AT_DropCluster", "AT_SetRelOptions",
    "AT_ResetRelOptions", "AT_ValidateConstraint", "AT_AttachPartition", "AT_DetachPartitionFinalize",
})  # fmt: skip
_TRIGGERS = frozenset({
    "AT_EnableTrig", "AT_EnableAlwaysTrig", "AT_EnableReplicaTrig", "AT_DisableTrig", "AT_EnableTrigAll",
    "AT_DisableTrigAll", "AT_EnableTrigUser", "AT_DisableTrigUser",
})  # fmt: skip
Taken = tuple[str, str]


def locks(act: Act, story: Story) -> list[Taken]:
    """The tables that an act locks, with the lock; not those that are new, which nobody uses yet."""
    found = _LOCKS.get(kind(act.node))
    return [(table, lock) for table, lock in found(act, story) if not story.is_new(table)] if found else []


def locked_out(act: Act, story: Story) -> list[str]:
    """The tables that nobody can read while the transaction of an act lasts.

    Not those of a dropped index, which may be any, nor a partition beside the table that it leaves, nor those of
    VACUUM, which takes one after the other.
    """
    what = kind(act.node)
    of_index = what == "DropStmt" and act.node.removeType.name == "OBJECT_INDEX"
    if act.does == "AT_DetachPartition" or what == "VacuumStmt" or of_index:
        return []
    return [table for table, lock in locks(act, story) if lock == ACCESS_EXCLUSIVE]


def subcommand_lock(act: Act) -> str:
    """The lock of one subcommand of ALTER TABLE on its own table."""
    if act.does in _QUIET or (act.does == "AT_DetachPartition" and act.command.def_.concurrent):
        return SHARE_UPDATE_EXCLUSIVE
    foreign = act.does == "AT_AddConstraint" and act.command.def_.contype.name == "CONSTR_FOREIGN"
    return SHARE_ROW_EXCLUSIVE if foreign or act.does in _TRIGGERS else ACCESS_EXCLUSIVE


def _alter(act: Act, story: Story) -> Iterator[Taken]:
    if act.node.objtype.name not in TABLES or story.is_new(story.name(act.node.relation)):
        return  # the foreign key of a new table holds the other one no longer than CREATE TABLE would
    yield story.name(act.node.relation), subcommand_lock(act)
    definition = act.command.def_
    if act.does in ("AT_AttachPartition", "AT_DetachPartition") and not definition.concurrent:
        yield story.name(definition.name), ACCESS_EXCLUSIVE
    for referenced in _referenced(act):
        yield story.name(referenced), SHARE_ROW_EXCLUSIVE


def _referenced(act: Act) -> list[object]:
    definition = act.command.def_
    constraints = definition.constraints or () if act.does == "AT_AddColumn" else ()
    constraints = (definition,) if act.does == "AT_AddConstraint" else constraints
    return [each.pktable for each in constraints if each.pktable is not None]


def _own(lock: str) -> Callable[[Act, Story], Iterator[Taken]]:
    def taken(act: Act, story: Story) -> Iterator[Taken]:
        if act.node.relation is not None:
            yield story.name(act.node.relation), lock

    return taken


def _policy(act: Act, story: Story) -> Iterator[Taken]:
    yield story.name(act.node.table), ACCESS_EXCLUSIVE


def _index(act: Act, story: Story) -> Iterator[Taken]:
    yield story.name(act.node.relation), SHARE_UPDATE_EXCLUSIVE if act.node.concurrent else SHARE


def _drop(act: Act, story: Story) -> Iterator[Taken]:
    what = act.node.removeType.name
    lock = SHARE_UPDATE_EXCLUSIVE if act.node.concurrent else ACCESS_EXCLUSIVE
    for each in act.node.objects:
        if what in TABLES:
            yield story.dotted(each), lock
        elif what == "OBJECT_INDEX":
            yield story.tables_of_indexes.get(story.dotted(each), story.dotted(each)), lock
        elif what in ("OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"):
            yield story.dotted(each[:-1]), lock


def _truncate(act: Act, story: Story) -> Iterator[Taken]:
    for each in act.node.relations:
        yield story.name(each), ACCESS_EXCLUSIVE


def _lock_table(act: Act, story: Story) -> Iterator[Taken]:
    for each in act.node.relations:
        yield story.name(each), MODES[act.node.mode]


def _rename(act: Act, story: Story) -> Iterator[Taken]:
    if act.node.relation is not None and "OBJECT_TABLE" in (act.node.renameType.name, act.node.relationType.name):
        yield story.name(act.node.relation), ACCESS_EXCLUSIVE


def _refresh(act: Act, story: Story) -> Iterator[Taken]:
    if not act.node.concurrent:
        yield story.name(act.node.relation), ACCESS_EXCLUSIVE


def _vacuum(act: Act, story: Story) -> Iterator[Taken]:
    if vacuum_full(act):
        yield from ((story.name(each.relation), ACCESS_EXCLUSIVE) for each in act.node.rels or ())


def vacuum_full(act: Act) -> bool:
    return bool(act.node.is_vacuumcmd) and any(
        option_on(each) for each in act.node.options or () if each.defname == "full"
    )


def option_on(option: object) -> bool:
    """Whether an option in parentheses is on: named alone, or with a word that means yes."""
    word = getattr(option, "arg", None)
    return word is None or str(getattr(word, "sval", getattr(word, "ival", ""))).lower() not in ("false", "off", "0")


def _reindex(act: Act, story: Story) -> Iterator[Taken]:
    if act.node.relation is not None and not concurrently(act):
        name = story.name(act.node.relation)
        yield story.tables_of_indexes.get(name, name), SHARE


def concurrently(act: Act) -> bool:
    return any(each.defname == "concurrently" and option_on(each) for each in act.node.params or ())


_LOCKS: Final[dict[str, Callable[[Act, Story], Iterator[Taken]]]] = {
    "AlterTableStmt": _alter,
    "IndexStmt": _index,
    "DropStmt": _drop,
    "TruncateStmt": _truncate,
    "LockStmt": _lock_table,
    "RenameStmt": _rename,
    "RefreshMatViewStmt": _refresh,
    "VacuumStmt": _vacuum,
    "ReindexStmt": _reindex,
    "CreateTrigStmt": _own(SHARE_ROW_EXCLUSIVE),
    "CreatePolicyStmt": _policy,
    "AlterPolicyStmt": _policy,
    "RuleStmt": _own(ACCESS_EXCLUSIVE),
    "ClusterStmt": _own(ACCESS_EXCLUSIVE),
    "AlterObjectSchemaStmt": _own(ACCESS_EXCLUSIVE),
}
