"""Partitions: attached and detached while others go on."""

# mypy: disable-error-code="union-attr"

from collections.abc import Iterator
from typing import Final

from ops_lib.postgres.lint.act import Act
from ops_lib.postgres.lint.locks import ACCESS_EXCLUSIVE
from ops_lib.postgres.lint.notice import CRITICAL, WARNING, Notice, Rule
from ops_lib.postgres.lint.proofs import proves_bound
from ops_lib.postgres.lint.story import Story


def attach_partition(act: Act, story: Story) -> Iterator[Notice]:
    if act.does != "AT_AttachPartition" or act.node.objtype.name != "OBJECT_TABLE":
        return
    part = story.name(act.command.def_.name)
    if not proves_bound(story, part, act.command.def_.bound):
        yield Notice(
            rule="attach-partition-without-check",
            severity=CRITICAL,
            subject=part,
            lock=ACCESS_EXCLUSIVE,
            effect="nobody can read or write it while all of its rows are compared with the bound",
            remedy="first a CHECK that says what the bound says, NOT VALID, then validated; drop it after the ATTACH",
        )


def detach_partition(act: Act, story: Story) -> Iterator[Notice]:
    if act.does == "AT_DetachPartition" and not act.command.def_.concurrent:
        yield Notice(
            rule="detach-partition-without-concurrently",
            severity=WARNING,
            subject=story.name(act.node.relation),
            lock=ACCESS_EXCLUSIVE,
            effect="readers and writers of all partitions wait behind this until the last reader has ended",
            remedy="DETACH PARTITION ... CONCURRENTLY in a file with `-- transaction: no`; it leaves a CHECK behind",
        )


RULES: Final[tuple[Rule, ...]] = (attach_partition, detach_partition)
