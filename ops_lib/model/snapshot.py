"""Snapshots: what catalog and statistics looked like at one time.

A snapshot is kept outside its target as gzip over JSON. Rows are written as lists under the names of their columns, so
that ten thousand tables stay small and a later schema may add columns.
"""

import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from math import sqrt
from typing import Any, Self, TypeVar

from ops_lib.model.errors import BadInput
from ops_lib.model.target import Guard, Identity
from ops_lib.model.times import format_instant, parse_instant

SCHEMA = 1
FILE_NAME = "snapshot.json.gz"
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What one statement has cost so far; the difference of two is what it cost in between.

    Times are milliseconds; `square_ms` is the sum of the squared times, from which the spread follows.
    """

    calls: int
    total_ms: float
    square_ms: float = 0.0
    rows: int = 0
    blocks_hit: int = 0
    blocks_read: int = 0
    temp_blocks: int = 0

    @property
    def mean_ms(self) -> float:
        return self.total_ms / self.calls if self.calls else 0.0

    @property
    def spread_ms(self) -> float:
        """The standard deviation of its times."""
        if not self.calls:
            return 0.0
        return sqrt(max(0.0, self.square_ms / self.calls - self.mean_ms**2))

    def since(self, earlier: "Counters | None") -> "Counters":
        """What was added since `earlier`, or everything where the counters were reset in between.

        >>> Counters(calls=5, total_ms=50).since(Counters(calls=3, total_ms=20)).mean_ms
        15.0
        """
        if earlier is None or earlier.calls > self.calls or earlier.total_ms > self.total_ms:
            return self
        return Counters(**{f.name: getattr(self, f.name) - getattr(earlier, f.name) for f in fields(self)})

    def plus(self, other: "Counters") -> "Counters":
        return Counters(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class TableState:
    """A table, partition or materialized view. `tuples` is -1 where it was never analyzed or vacuumed."""

    name: str
    kind: str
    pages: int
    tuples: float
    live: int
    dead: int
    modified: int
    analyzed_at: str | None
    vacuumed_at: str | None
    columns: str
    options: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexState:
    """An index. `shape` is its definition without name and table, and so what makes two indexes the same one; it is
    empty where an expression or predicate could not be read without waiting for a lock.

    `columns` are the keys in order; an expression stands as an empty text. `partial` indexes serve only some queries.
    """

    table: str
    name: str
    shape: str
    columns: tuple[str, ...]
    unique: bool
    valid: bool
    partial: bool
    constraint: str | None
    scans: int
    pages: int

    def definition(self, *, concurrently: bool = False) -> str:
        """The statement that makes this index.

        >>> index = IndexState(table="public.t", name="t_a", shape="btree (a)", columns=("a",), unique=True, valid=True,
        ...                    partial=False, constraint=None, scans=0, pages=1)
        >>> index.definition(concurrently=True)
        'CREATE UNIQUE INDEX CONCURRENTLY t_a ON public.t USING btree (a)'
        """
        unique, how = ("UNIQUE " if self.unique else ""), ("CONCURRENTLY " if concurrently else "")
        return f"CREATE {unique}INDEX {how}{self.name} ON {self.table} USING {self.shape}"

    def restoration(self, *, concurrently: bool = True) -> str:
        """The statements that bring it back as it was, with the constraint that it served.

        >>> key = IndexState(table="public.t", name="t_pkey", shape="btree (a)", columns=("a",), unique=True,
        ...                  valid=True, partial=False, constraint="p", scans=0, pages=1)
        >>> print(key.restoration())
        CREATE UNIQUE INDEX CONCURRENTLY t_pkey ON public.t USING btree (a);
        ALTER TABLE public.t ADD CONSTRAINT t_pkey PRIMARY KEY USING INDEX t_pkey;
        """
        made = f"{self.definition(concurrently=concurrently)};"
        kind = {"p": "PRIMARY KEY", "u": "UNIQUE"}.get(self.constraint or "")
        if kind is None:
            return made
        return f"{made}\nALTER TABLE {self.table} ADD CONSTRAINT {self.name} {kind} USING INDEX {self.name};"

    @property
    def identity(self) -> tuple[str, str]:
        """Table and shape: an index that was made again under another name is the same one."""
        return self.table, self.shape

    def leads_with(self, columns: Iterable[str]) -> bool:
        """Whether a search by these columns can use it."""
        return self.valid and bool(self.columns) and self.columns[0] in set(columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnStatistics:
    """What the planner believes about a column; `distinct` below zero is a share of the rows, as in pg_stats."""

    table: str
    name: str
    distinct: float
    null_share: float
    correlation: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementState:
    """A statement of pg_stat_statements, summed over users."""

    query_id: str
    text: str
    counters: Counters


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look at a database. `statements` is nothing where pg_stat_statements could not be read."""

    taken_at: datetime
    identity: Identity
    settings: Mapping[str, str]
    tables: tuple[TableState, ...]
    indexes: tuple[IndexState, ...]
    columns: tuple[ColumnStatistics, ...]
    statements: tuple[StatementState, ...] | None
    notes: tuple[str, ...] = ()

    def table(self, name: str) -> TableState | None:
        return next((table for table in self.tables if table.name == name), None)

    def statement(self, query_id: str) -> StatementState | None:
        return next((item for item in self.statements or () if item.query_id == query_id), None)

    def to_bytes(self) -> bytes:
        """The same snapshot gives the same bytes."""
        document = {
            "schema": SCHEMA,
            "taken_at": format_instant(self.taken_at),
            "identity": _record(self.identity),
            "settings": dict(self.settings),
            "tables": _rows(self.tables, TableState),
            "indexes": _rows(self.indexes, IndexState),
            "columns": _rows(self.columns, ColumnStatistics),
            "statements": None if self.statements is None else _statements(self.statements),
            "notes": list(self.notes),
        }
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return gzip.compress(text.encode(), compresslevel=6, mtime=0)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        try:
            document = json.loads(gzip.decompress(content))
            schema = document["schema"]
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise BadInput(f"this is not a snapshot ({error})", hint="take a new one with OPS-SNAPSHOT") from None
        if schema != SCHEMA:
            hint = "it was written by another version of ops-runbooks; take a new one with OPS-SNAPSHOT"
            raise BadInput(f"the snapshot has schema {schema}, and this program reads {SCHEMA}", hint=hint)
        return cls(
            taken_at=parse_instant(document["taken_at"]),
            identity=Identity(**{**document["identity"], "guard": Guard(document["identity"]["guard"])}),
            settings=document["settings"],
            tables=tuple(_read(document["tables"], TableState)),
            indexes=tuple(_read(document["indexes"], _index)),
            columns=tuple(_read(document["columns"], ColumnStatistics)),
            statements=None if document["statements"] is None else tuple(_read(document["statements"], _statement)),
            notes=tuple(document["notes"]),
        )


def _record(item: Any) -> dict[str, Any]:
    return {f.name: getattr(item, f.name) for f in fields(item)}


def _rows(items: Iterable[Any], kind: type) -> dict[str, Any]:
    names = [f.name for f in fields(kind)]
    return {"columns": names, "rows": [[getattr(item, name) for name in names] for item in items]}


def _statements(items: Sequence[StatementState]) -> dict[str, Any]:
    names = [f.name for f in fields(Counters)]
    rows = [[item.query_id, item.text, *(getattr(item.counters, name) for name in names)] for item in items]
    return {"columns": ["query_id", "text", *names], "rows": rows}


def _read(stored: Mapping[str, Any], make: Callable[..., Row]) -> Iterable[Row]:
    return (make(**dict(zip(stored["columns"], row, strict=True))) for row in stored["rows"])


def _index(*, columns: Sequence[str], **rest: Any) -> IndexState:
    return IndexState(columns=tuple(columns), **rest)


def _statement(*, query_id: str, text: str, **counters: Any) -> StatementState:
    return StatementState(query_id=query_id, text=text, counters=Counters(**counters))
