"""A routine: the queries that a platform runs day by day, as files, each with the parameters that it is run with.

A file holds two statements. The first answers rows of parameters; the second is the query, with $1, $2 ... for their
columns. Queries are planned for the values that they are given, as a driver does that does not prepare them.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from ops_lib.model.errors import BadInput
from ops_lib.postgres.sql_file import Connection, statements


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query and the rows of values that it is run with, one after another."""

    name: str
    text: str
    values: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How a query did: calls, and the seconds of all of them and of the slowest."""

    calls: int
    seconds: float
    slowest: float

    @property
    def mean(self) -> float:
        return self.seconds / self.calls


def read(connection: Connection, folder: Path) -> list[Query]:
    """The routine of a folder, with parameters as the database has them now."""
    return [_query(connection, file) for file in sorted(folder.glob("*.sql"))]


def play(connection: Connection, queries: list[Query], *, rounds: int) -> dict[str, Timing]:
    """Runs every query once in each round, with its next row of parameters."""
    connection.prepare_threshold = None
    took: dict[str, list[float]] = {query.name: [] for query in queries}
    for number in range(rounds):
        for query in queries:
            took[query.name].append(_run(connection, query.text, query.values[number % len(query.values)]))
    return {name: Timing(calls=len(each), seconds=sum(each), slowest=max(each)) for name, each in took.items()}


def _query(connection: Connection, file: Path) -> Query:
    parts = statements(file.read_text(encoding="utf-8"), str(file))
    if len(parts) != 2:
        raise BadInput(f"{file} has {len(parts)} statements", hint="one for the parameters, one for the query")
    values = connection.execute(parts[0].text.encode()).fetchall()
    return Query(name=file.stem, text=parts[1].text, values=tuple(values) or ((),))


def _run(connection: Connection, text: str, values: tuple[Any, ...]) -> float:
    began = time.monotonic()
    with psycopg.RawCursor(connection) as cursor:
        cursor.execute(text.encode(), values).fetchall()
    return time.monotonic() - began
