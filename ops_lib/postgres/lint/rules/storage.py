"""Storage: whole tables written anew, or held."""

# mypy: disable-error-code="union-attr,index,arg-type"

from collections.abc import Iterator
from typing import Final

from pglast import ast

from ops_lib.postgres.lint.act import Act
from ops_lib.postgres.lint.locks import ACCESS_EXCLUSIVE, BLOCKING, MODES, vacuum_full
from ops_lib.postgres.lint.notice import CRITICAL, WARNING, Notice, Rule
from ops_lib.postgres.lint.story import Story

_WHILE: Final = "nobody can read or write while the whole table is written anew"
_ONLINE: Final = "in a maintenance window, or online with pg_repack"
_SUBCOMMANDS: Final = {
    "AT_SetLogged": ("set-logged", "and all of it goes through the WAL"),
    "AT_SetUnLogged": ("set-unlogged", "and a crash of the server then empties it"),
    "AT_SetTableSpace": ("set-tablespace", "in the other tablespace"),
    "AT_SetAccessMethod": ("set-access-method", "by the other access method"),
}


def _written(rule: str, table: str, more: str = "") -> Notice:
    effect = f"{_WHILE} {more}".strip()
    return Notice(rule=rule, severity=CRITICAL, subject=table, lock=ACCESS_EXCLUSIVE, effect=effect, remedy=_ONLINE)


def vacuum_full_or_cluster(act: Act, story: Story) -> Iterator[Notice]:
    node = act.node
    if isinstance(node, ast.VacuumStmt) and vacuum_full(act):
        tables = [story.name(each.relation) for each in node.rels or ()]
        yield from (_written("vacuum-full", table) for table in tables or ["database"])
    if isinstance(node, ast.ClusterStmt):
        yield _written("cluster", story.name(node.relation) if node.relation else "database")


def rewriting_subcommand(act: Act, story: Story) -> Iterator[Notice]:
    if act.does in _SUBCOMMANDS:
        rule, more = _SUBCOMMANDS[act.does]
        yield _written(rule, story.name(act.node.relation), more)


def move_all(act: Act, story: Story) -> Iterator[Notice]:
    if isinstance(act.node, ast.AlterTableMoveAllStmt):
        yield _written("set-tablespace", f"tablespace {act.node.orig_tablespacename}", "one after the other")


def refresh_without_concurrently(act: Act, story: Story) -> Iterator[Notice]:
    node = act.node
    if isinstance(node, ast.RefreshMatViewStmt) and not node.concurrent and not node.skipData:
        yield Notice(
            rule="refresh-without-concurrently",
            severity=CRITICAL,
            subject=story.name(node.relation),
            lock=ACCESS_EXCLUSIVE,
            effect="nobody can read it while its query runs",
            remedy="REFRESH MATERIALIZED VIEW CONCURRENTLY; it needs a unique index",
        )


def lock_table(act: Act, story: Story) -> Iterator[Notice]:
    if not isinstance(act.node, ast.LockStmt) or MODES[act.node.mode] not in BLOCKING:
        return
    for table in act.node.relations:
        yield Notice(
            rule="lock-table",
            severity=CRITICAL,
            subject=story.name(table),
            lock=MODES[act.node.mode],
            effect="held until the transaction ends, whatever comes after it",
            remedy="leave it out: each statement takes the lock that it needs",
            rows=False,
        )


def drop_table(act: Act, story: Story) -> Iterator[Notice]:
    node = act.node
    if (
        isinstance(node, ast.DropStmt)
        and node.removeType.name == "OBJECT_TABLE"
        and node.behavior.name == "DROP_RESTRICT"
    ):
        for each in node.objects:
            yield Notice(
                rule="drop-table",
                severity=WARNING,
                subject=story.dotted(each),
                lock=ACCESS_EXCLUSIVE,
                effect="its rows are lost, and what still reads it fails",
                remedy="first release what no longer reads it; keep a backup, see SOP-002",
            )


RULES: Final[tuple[Rule, ...]] = (
    vacuum_full_or_cluster, rewriting_subcommand, move_all, refresh_without_concurrently, lock_table, drop_table,
)  # fmt: skip
