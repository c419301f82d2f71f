"""Estimates: how far the planner is off for values that a table really holds.

Values come from a sample of the table as it is now; what the planner expects of each is compared with a count that
stops once the point is made.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from ops_lib.model.errors import StatementFailed
from ops_lib.postgres.facts import TableFacts
from ops_lib.postgres.session import Limits, Session

SAMPLED_ROWS = 20_000
OFF_BY = 10.0
OFF_ROWS = 1_000
MOST_COLUMNS = 3
LIMITS = Limits(statement_ms=1_000, lock_ms=50)


@dataclass(frozen=True, slots=True, kw_only=True)
class Misestimate:
    """A search that is expected to find `estimated` rows and finds `actual` ones, or more where `capped`."""

    column: str
    value: str
    estimated: int
    actual: int
    capped: bool

    @property
    def factor(self) -> float:
        low, high = sorted((self.estimated, self.actual))
        return high / max(1, low)

    @property
    def off(self) -> bool:
        return self.factor >= OFF_BY and abs(self.estimated - self.actual) >= OFF_ROWS


def worst(session: Session, facts: TableFacts, columns: Sequence[str]) -> Misestimate | None:
    """The worst estimate for values of these columns that is off for certain; nothing where none could be shown."""
    found: list[Misestimate] = []
    with session.bounded(LIMITS):
        for column in list(columns)[:MOST_COLUMNS]:
            try:
                found.extend(_compared(session, facts, column, value) for value in _values(session, facts, column))
            except StatementFailed:  # too large or locked: not shown is not proven
                continue
    return max((one for one in found if one.off), key=lambda one: one.factor, default=None)


def _values(session: Session, facts: TableFacts, column: str) -> list[str]:
    """The commonest values of a sample and a rare one."""
    percent = min(100.0, 100.0 * SAMPLED_ROWS / max(facts.tuples, 1.0))
    statement = sql.SQL(
        "SELECT {column}::text AS value FROM {table} TABLESAMPLE SYSTEM ({percent})"
        " WHERE {column} IS NOT NULL GROUP BY {column} ORDER BY count(*) DESC"
    ).format(column=sql.Identifier(column), table=sql.SQL(facts.name), percent=sql.Literal(percent))
    values = [str(row["value"]) for row in session.rows(statement.as_string())]
    return list(dict.fromkeys([*values[:2], *values[-1:]]))


def _compared(session: Session, facts: TableFacts, column: str, value: str) -> Misestimate:
    search = sql.SQL("SELECT 1 FROM {} WHERE {} = {}").format(
        sql.SQL(facts.name), sql.Identifier(column), sql.Literal(value)
    )
    plan = session.rows(sql.SQL("EXPLAIN (FORMAT JSON) {}").format(search).as_string())[0]["QUERY PLAN"]
    estimated = int(plan[0]["Plan"]["Plan Rows"])
    most = int(estimated * 2 * OFF_BY) + 2 * OFF_ROWS
    counted = sql.SQL("SELECT count(*) AS rows FROM ({} LIMIT {}) AS found").format(search, sql.Literal(most))
    actual = int(session.rows(counted.as_string())[0]["rows"])
    return Misestimate(column=column, value=value, estimated=estimated, actual=actual, capped=actual >= most)
