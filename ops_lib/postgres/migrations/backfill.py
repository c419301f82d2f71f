"""Backfills: an update of many rows in small batches, each a transaction of its own, that nobody has to wait for long.

Rows are taken in the order of a unique key, up to the last one that there is at the beginning. The key of the last row
that was passed is written in the transaction of its batch, so that a backfill that was killed goes on behind it and
changes no row twice. Rows that come later, and those whose key somebody changes meanwhile, are up to who writes them.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from pglast.stream import RawStream
from psycopg import sql

from ops_lib.model.errors import BadInput, OpsError, Refused
from ops_lib.model.migration import Script
from ops_lib.model.rollout import Limits
from ops_lib.postgres import session as sessions
from ops_lib.postgres.migrations import checkpoints
from ops_lib.postgres.migrations.attempts import Attempts, explained, run_id
from ops_lib.postgres.migrations.blockers import ask, change
from ops_lib.postgres.migrations.checkpoints import as_itself
from ops_lib.postgres.migrations.progress import Rows
from ops_lib.postgres.migrations.watch import Sight, Tell, Watch
from ops_lib.postgres.session import Session, reason
from ops_lib.postgres.sql_file import statements

STEM = "backfill"
_TELL_SECONDS: Final = 1.0
_SMALLEST, _LARGEST = 10, 50_000
_FEW = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """`UPDATE table SET assign WHERE where`, both as SQL. `key` is the primary key where it is not given.

    `batch_rows` is how many rows the first batch passes; the next ones are made to take about `batch_ms`. `purpose`
    tells two apart that say the same, such as those of two migrations.
    """

    table: str
    assign: str
    where: str = "true"
    key: tuple[str, ...] = ()
    batch_rows: int = 1000
    batch_ms: float = 200
    purpose: str = ""

    @property
    def statement(self) -> str:
        """What it does to the whole table."""
        return f"UPDATE {_identifier(self.table).as_string(None)} SET {self.assign}\nWHERE {self.where}\n"  # noqa: S608

    @property
    def name(self) -> str:
        """What its row is found by: the table, the digest of the statement, and what it is for."""
        return f"{self.table} {hashlib.sha256(self.statement.encode()).hexdigest()[:16]} {self.purpose}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What came of a backfill, over all runs that it took: rows that it looked at, and that it changed."""

    passed: int
    changed: int
    batches: int
    seconds: float
    blocked_s: float = 0.0
    unseen: tuple[str, ...] = ()


def count(session: Session, backfill: Backfill) -> int:
    """How many rows it would change now; the dry run."""
    _assigned(backfill)
    statement = f"SELECT count(*) AS n FROM {_identifier(backfill.table).as_string(None)} WHERE {backfill.where}"  # noqa: S608
    return int(session.rows(statement)[0]["n"])


def fill(session: Session, backfill: Backfill, *, limits: Limits | None = None, tell: Tell) -> Filled:
    """Does it, or goes on where it was; one that is done is found done."""
    chosen = limits or Limits()
    bounds = sessions.Limits(statement_ms=int(chosen.statement_s * 1000), lock_ms=chosen.lock_ms)
    _assigned(backfill)
    with session.bounded(bounds), Watch(session, chosen, tell) as watch:
        return carry(session, backfill, watch, chosen, tell)


def carry(session: Session, backfill: Backfill, watch: Watch, limits: Limits, tell: Tell) -> Filled:
    """The same in a session that is bounded and watched already."""
    try:
        return _Filling(session, backfill, _assigned(backfill), watch, limits, tell).carry()
    except psycopg.Error as error:
        raise explained(session, error, f"the backfill of {backfill.table}") from error


def forget(session: Session, backfill: Backfill) -> None:
    """Removes the row of one that is done, in the transaction that is open."""
    as_itself(session)
    change(session.connection, STEM, "forget", {"name": backfill.name})


def from_script(script: Script, purpose: str) -> Backfill:
    """The backfill that a file asks for; BadInput where it is not one plain UPDATE."""
    found = statements(script.text, str(script.file), script.first_line)
    node: Any = found[0].node if len(found) == 1 else None
    plain = type(node).__name__ == "UpdateStmt" and not (node.fromClause or node.returningClause or node.withClause)
    if not plain or node.relation.alias or any(type(each.val).__name__ == "MultiAssignRef" for each in node.targetList):
        hint = "leave one UPDATE in it, without FROM, WITH, RETURNING and alias, or take -- Batches: out"
        raise BadInput(f"{script.file} cannot be done in batches", hint=hint)
    assigned = [f"{sql.Identifier(each.name).as_string(None)} = {RawStream()(each.val)}" for each in node.targetList]
    table = ".".join(filter(None, (node.relation.schemaname, node.relation.relname)))
    where = str(RawStream()(node.whereClause)) if node.whereClause else "true"
    return Backfill(table=table, assign=", ".join(assigned), where=where, purpose=purpose)


class _Filling:
    """One run's share of a backfill."""

    def __init__(
        self, session: Session, backfill: Backfill, assigned: frozenset[str], watch: Watch, limits: Limits, tell: Tell
    ) -> None:
        self._session, self._backfill, self._watch, self._limits, self._tell = session, backfill, watch, limits, tell
        self._connection = session.connection
        self._table = _identifier(backfill.table)
        self._key, self._types = _key(self._connection, backfill)
        if changed := assigned & set(self._key):
            what = f"the backfill of {backfill.table} changes {min(changed)}, by which its rows are taken"
            raise BadInput(what, hint="give it another key, or write the change in another way")
        self._columns = sql.SQL(", ").join(map(sql.Identifier, self._key))
        self._rows = backfill.batch_rows
        self._own: dict[str, Any] = {"name": backfill.name, "run_id": run_id(session)}

    def carry(self) -> Filled:
        """Batch after batch, as fast as the limits let it."""
        began, told, before = time.monotonic(), 0.0, self._begin()["passed"]
        total = self._size()
        attempts = Attempts(
            session=self._session, watch=self._watch, limits=self._limits, tell=self._tell,
            what=f"the backfill of {self._backfill.table}",
        )  # fmt: skip
        while not (place := self._place())["done"]:
            self._watch.ready(attempts.what)
            self._adapt(attempts.until_done(self._batch))
            if time.monotonic() - told >= _TELL_SECONDS:
                told = time.monotonic()
                self._tell(self._progress(place["passed"], before, total, told - began))
        return Filled(
            passed=place["passed"], changed=place["changed"], batches=place["batches"],
            seconds=time.monotonic() - began, blocked_s=attempts.blocked_s, unseen=self._watch.unseen,
        )  # fmt: skip

    def _progress(self, passed: int, before: int, total: int, seconds: float) -> str:
        here = Rows(what=self._backfill.table, passed=passed - before, total=total - before, seconds=seconds)
        return str(here) if not before else f"{here}, after {before:,} rows in earlier runs"

    def _begin(self) -> Mapping[str, Any]:
        """Makes its row where there is none; the last key of the table is the end, whatever comes behind it."""
        checkpoints.prepare(self._session, STEM, "ops_runbooks.backfills")
        if place := self._found():
            return place
        down = sql.SQL(", ").join(sql.SQL("{} DESC").format(sql.Identifier(column)) for column in self._key)
        last = sql.SQL("SELECT {} FROM {} ORDER BY {} LIMIT 1").format(self._columns, self._table, down)
        end = sql.SQL("SELECT {} FROM ({}) AS last").format(self._texts(), last)
        until = self._connection.execute(end).fetchone()
        row = {"statement": self._backfill.statement, "key": list(self._key), "until": list(until) if until else None}
        with self._connection.transaction():
            as_itself(self._session)
            change(self._connection, STEM, "begin", self._own | row)
        return self._place()

    def _place(self) -> Mapping[str, Any]:
        """Its row. Refused where somebody has removed it, since then nobody knows how far it came."""
        if not (place := self._found()):
            raise Refused(f"the row of the backfill {self._backfill.name} is gone", hint="see ops_runbooks.backfills")
        return place

    def _found(self) -> Mapping[str, Any] | None:
        with self._connection.transaction():
            as_itself(self._session)
            return next(iter(ask(self._connection, STEM, "place", self._own)), None)

    def _batch(self, sight: Sight) -> float:
        """One batch and its key, in one transaction that begins with the place where it is; how long it took."""
        began = time.monotonic()
        try:
            with self._connection.transaction():
                as_itself(self._session)
                (place,) = ask(self._connection, STEM, "place", self._own)
                if not place["done"]:
                    change(self._connection, STEM, "move", self._own | self._update(place["last"], place["until"]))
        except psycopg.Error as error:
            raise OpsError(f"the backfill of {self._backfill.table}: {reason(error)}") from error
        return time.monotonic() - began

    def _update(self, last: Sequence[str] | None, until: Sequence[str]) -> dict[str, Any]:
        """Changes the rows behind `last`, as many as a batch has; what is to be written of them."""
        bound = self._bound(last, until)
        upper = bound[:-1] if bound else until
        changes = sql.SQL("UPDATE {} SET {}\nWHERE ({}\n) AND {}").format(
            self._table, _raw(self._backfill.assign), _raw(self._backfill.where), self._range(last, upper)
        )
        changed = self._connection.execute(changes).rowcount
        return {
            "last": list(upper), "changed": changed, "passed": bound[-1] if bound else 0,
            "done": not bound or list(upper) == list(until),
        }  # fmt: skip

    def _bound(self, last: Sequence[str] | None, until: Sequence[str]) -> Sequence[Any] | None:
        """The key of the last row of a batch as text, and how many rows it has; nothing where none is left."""
        taken = sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT {}").format(
            self._columns, self._table, self._range(last, until), self._columns, self._rows
        )
        texts = self._texts()
        found = sql.SQL(
            "SELECT {}, n FROM (SELECT *, row_number() OVER () AS n FROM ({}) AS taken) AS numbered"
        ).format(texts, taken)
        return self._connection.execute(sql.SQL("{} ORDER BY n DESC LIMIT 1").format(found)).fetchone()

    def _range(self, last: Sequence[str] | None, until: Sequence[str]) -> sql.Composable:
        row = sql.SQL("ROW({})").format(self._columns)
        below = sql.SQL("{} <= {}").format(row, self._values(until))
        return sql.SQL("{} > {} AND {}").format(row, self._values(last), below) if last is not None else below

    def _values(self, key: Sequence[str]) -> sql.Composable:
        """A key in the types of its columns; types come from the catalog, quoted as they have to be."""
        pairs = zip(key, self._types, strict=True)
        return sql.SQL("ROW({})").format(
            sql.SQL(", ").join(sql.SQL("{}::{}").format(value, _raw(type_)) for value, type_ in pairs)
        )

    def _texts(self) -> sql.Composable:
        """A key as text; never where rows are ordered, since an order would be that of the texts."""
        return sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in self._key)

    def _adapt(self, seconds: float) -> None:
        """The next batch takes about `batch_ms`; at most twice as many rows as this one, at least half as many."""
        wished = self._rows * min(2.0, max(0.5, self._backfill.batch_ms / 1000 / max(seconds, 1e-4)))
        self._rows = max(_SMALLEST, min(_LARGEST, int(wished)))

    def _size(self) -> int:
        """About how many rows it passes; counted where the table was never analyzed."""
        about = int(ask(self._connection, STEM, "size", {"table": self._table.as_string(None)})[0]["rows"])
        if about > 0:
            return about
        sample = sql.SQL("SELECT count(*) FROM (SELECT FROM {} LIMIT {}) AS few").format(self._table, _FEW)
        row = self._connection.execute(sample).fetchone()
        return int(row[0]) if row else 0


def _key(connection: psycopg.Connection, backfill: Backfill) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns by which rows are taken, with their types; BadInput where rows may have the same."""
    table = _identifier(backfill.table).as_string(None)
    for row in ask(connection, STEM, "key", {"table": table}):
        if tuple(row["columns"]) == backfill.key or (row["primary"] and not backfill.key):
            return tuple(row["columns"]), tuple(row["types"])
    wanted = ", ".join(backfill.key) or "a primary key"
    hint = "name columns that a unique index covers and that are NOT NULL, in its order"
    raise BadInput(f"{backfill.table} has no unique index on {wanted}", hint=hint)


def _assigned(backfill: Backfill) -> frozenset[str]:
    """The columns that it changes; BadInput where `assign` and `where` are not the parts of one UPDATE."""
    found = statements(backfill.statement, f"the backfill of {backfill.table}")
    node: Any = found[0].node
    if (
        len(found) > 1
        or type(node).__name__ != "UpdateStmt"
        or node.fromClause
        or not node.whereClause
        or node.returningClause
    ):
        raise BadInput(f"the backfill of {backfill.table} is not one UPDATE of it", hint=backfill.statement.strip())
    return frozenset(target.name for target in node.targetList)


def _identifier(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))


def _raw(text: str) -> sql.SQL:
    """SQL that the author of a backfill has written, or the catalog has quoted."""
    return sql.SQL(text)
