"""The checks: each is a question (`.sql`), a judge (`.py`), a page (`.md`) and a test with one stem.

A module has a `TITLE`, `look(evidence) -> Result`, which asks, and `judge(...) -> Result`, which is a pure function of
the rows. The order is that in which a person at 3 a.m. wants the answers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ops_lib.model.result import Result
from ops_lib.postgres.checks import (
    connections,
    dead_rows,
    idle_in_transaction,
    locks,
    missing_indexes,
    queries,
    sizes,
    statistics,
)
from ops_lib.postgres.checks.evidence import Evidence, Tolerances
from ops_lib.postgres.session import Limits

__all__ = ["CHECKS", "Check", "Evidence", "Tolerances"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A question with the limits of each of its statements."""

    name: str
    title: str
    look: Callable[[Evidence], Result]
    limits: Limits


def _check(name: str, title: str, look: Callable[[Evidence], Result], *, statement_ms: int = 2_000) -> Check:
    return Check(name=name, title=title, look=look, limits=Limits(statement_ms=statement_ms, lock_ms=100))


CHECKS: Mapping[str, Check] = {
    check.name: check
    for check in (
        _check("locks", locks.TITLE, locks.look),
        _check("idle_in_transaction", idle_in_transaction.TITLE, idle_in_transaction.look),
        _check("connections", connections.TITLE, connections.look),
        _check("queries", queries.TITLE, queries.look),
        _check("missing_indexes", missing_indexes.TITLE, missing_indexes.look),
        _check("statistics", statistics.TITLE, statistics.look),
        _check("dead_rows", dead_rows.TITLE, dead_rows.look),
        _check("sizes", sizes.TITLE, sizes.look),
    )
}
