"""The rules of the lint, by family: each a pure function of an act and of the story so far."""

from typing import Final

from ops_lib.postgres.lint.notice import Rule
from ops_lib.postgres.lint.rules import (
    access,
    columns,
    constraints,
    indexes,
    names,
    partitions,
    rows,
    storage,
    timescale,
    transactions,
    triggers,
)

RULES: Final[tuple[Rule, ...]] = (
    *indexes.RULES, *constraints.RULES, *columns.RULES, *storage.RULES, *rows.RULES, *partitions.RULES, *triggers.RULES,
    *names.RULES, *access.RULES, *timescale.RULES, *transactions.RULES,
)  # fmt: skip
