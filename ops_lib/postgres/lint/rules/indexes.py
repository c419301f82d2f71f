"""Indexes: built, rebuilt and dropped without stopping those who write."""

# mypy: disable-error-code="union-attr"

from collections.abc import Iterator
from typing import Final

from pglast import ast

from ops_lib.postgres.lint.act import Act
from ops_lib.postgres.lint.locks import ACCESS_EXCLUSIVE, SHARE, concurrently
from ops_lib.postgres.lint.notice import CRITICAL, INFO, WARNING, Notice, Rule
from ops_lib.postgres.lint.story import Story

_ALONE: Final = "in a file of its own with the header line `-- transaction: no`"


def index_without_concurrently(act: Act, story: Story) -> Iterator[Notice]:
    if isinstance(act.node, ast.IndexStmt) and not act.node.concurrent:
        parent = (
            not act.node.relation.inh
        )  # ON ONLY, which makes an index of a partitioned table without its partitions
        yield Notice(
            rule="index-without-concurrently",
            severity=INFO if parent else CRITICAL,
            subject=story.name(act.node.relation),
            lock=SHARE,
            effect="nobody can write while the index is built",
            remedy=f"CREATE INDEX CONCURRENTLY, {_ALONE}",
        )


def index_if_not_exists(act: Act, story: Story) -> Iterator[Notice]:
    node = act.node
    if not isinstance(node, ast.IndexStmt) or not (node.concurrent and node.if_not_exists):
        return
    name = f"{node.relation.schemaname or story.schema}.{node.idxname}"
    if name not in story.dropped_indexes:
        yield Notice(
            rule="invalid-index-accepted",
            severity=WARNING,
            subject=story.name(node.relation),
            effect=f"IF NOT EXISTS takes the invalid index that a failed build leaves behind for {node.idxname}",
            remedy=f"DROP INDEX CONCURRENTLY IF EXISTS {name} first, and leave IF NOT EXISTS out",
        )


def drop_index_without_concurrently(act: Act, story: Story) -> Iterator[Notice]:
    node = act.node
    if not isinstance(node, ast.DropStmt) or node.removeType.name != "OBJECT_INDEX" or node.concurrent:
        return
    for each in node.objects:
        name = story.dotted(each)
        yield Notice(
            rule="drop-index-without-concurrently",
            severity=WARNING,
            subject=story.tables_of_indexes.get(name, name),
            lock=ACCESS_EXCLUSIVE,
            effect="readers and writers of its table wait behind this until its last reader has ended",
            remedy=f"DROP INDEX CONCURRENTLY, {_ALONE}",
        )


def reindex_without_concurrently(act: Act, story: Story) -> Iterator[Notice]:
    node = act.node
    if not isinstance(node, ast.ReindexStmt) or concurrently(act):
        return
    name = story.name(node.relation) if node.relation else f"{node.name or 'database'}"
    yield Notice(
        rule="reindex-without-concurrently",
        severity=CRITICAL,
        subject=story.tables_of_indexes.get(name, name),
        lock=SHARE,
        effect="nobody can write, nor read by this index, while it is built anew",
        remedy=f"REINDEX CONCURRENTLY, {_ALONE}",
    )


RULES: Final[tuple[Rule, ...]] = (
    index_without_concurrently, index_if_not_exists, drop_index_without_concurrently, reindex_without_concurrently,
)  # fmt: skip
