"""Triggers and rules: what happens from now on whenever somebody writes."""

# mypy: disable-error-code="union-attr"

from collections.abc import Iterator
from typing import Final

from pglast import ast

from ops_lib.postgres.lint.act import Act
from ops_lib.postgres.lint.locks import ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE
from ops_lib.postgres.lint.notice import WARNING, Notice, Rule
from ops_lib.postgres.lint.story import Story

_INSTEAD_OF: Final = 64
_DISABLED: Final = frozenset({"AT_DisableTrig", "AT_DisableTrigAll", "AT_DisableTrigUser"})


def create_trigger(act: Act, story: Story) -> Iterator[Notice]:
    if isinstance(act.node, ast.CreateTrigStmt) and act.node.timing != _INSTEAD_OF:
        yield Notice(
            rule="create-trigger",
            severity=WARNING,
            subject=story.name(act.node.relation),
            lock=SHARE_ROW_EXCLUSIVE,
            effect=f"writers wait until it is there, and from then on each write runs {act.node.trigname}",
            remedy="behind a lock timeout, in a transaction of its own, once its cost for each row is known",
            rows=False,
        )


def create_rule(act: Act, story: Story) -> Iterator[Notice]:
    if isinstance(act.node, ast.RuleStmt):
        yield Notice(
            rule="create-rule",
            severity=WARNING,
            subject=story.name(act.node.relation),
            lock=ACCESS_EXCLUSIVE,
            effect="queries are rewritten from now on, and expressions in them may be computed twice",
            remedy="a trigger, or a view that can be updated",
            rows=False,
        )


def disable_trigger(act: Act, story: Story) -> Iterator[Notice]:
    if act.does in _DISABLED:
        yield Notice(
            rule="disable-trigger",
            severity=WARNING,
            subject=story.name(act.node.relation),
            lock=SHARE_ROW_EXCLUSIVE,
            effect="what others write meanwhile goes past triggers, foreign keys among them",
            remedy="SET LOCAL session_replication_role, or a condition in the trigger, for this session alone",
            rows=False,
        )


RULES: Final[tuple[Rule, ...]] = (create_trigger, create_rule, disable_trigger)
