"""Sessions: the object behind the word `target()`.

A session connects when it is first asked something, tells its listener every statement with its time, and does not
connect again once the database was lost: what was read before and after could belong to different worlds.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from ops_lib.model.errors import StatementFailed, TargetLost
from ops_lib.model.target import Hazard, Identity, Login
from ops_lib.postgres.connection import configure, connect, identify, place
from ops_lib.postgres.questions import marked, served

if TYPE_CHECKING:
    import pandas as pd

Listener = Callable[[str, float], None]
Parameters = Mapping[str, Any]


class _Enough(Exception):
    """The caller has read as much of a copy as it wants."""


def application_name(runbook: str, run_id: str) -> str:
    """The name under which the sessions of a run are found; the run comes through when the server cuts at 63 bytes.

    >>> application_name("SOP-004", "01KDVDNA000000000000000000")
    'runbook/SOP-004/01KDVDNA000000000000000000'
    """
    return f"runbook/{runbook[: 63 - len('runbook//') - len(run_id)]}/{run_id}"


def select_from(relation: str, *, limit: int) -> str:
    """The statement that reads the first rows of a relation, whose name may have a schema.

    >>> select_from("mart.game_summary", limit=10)
    'SELECT * FROM "mart"."game_summary" LIMIT 10'
    """
    return sql.SQL("SELECT * FROM {} LIMIT {}").format(sql.Identifier(*relation.split(".")), limit).as_string(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a statement may take and may wait for a lock, in milliseconds."""

    statement_ms: int = 30_000
    lock_ms: int = 500


@dataclass(kw_only=True, eq=False)
class Session:
    """One named target, connected to once and lazily."""

    name: str
    login: Login
    application_name: str
    hazard: Hazard = Hazard.READ_ONLY
    limits: Limits = field(default_factory=Limits)
    on_statement: Listener | None = None

    @cached_property
    def connection(self) -> psycopg.Connection:
        return connect(
            self.login,
            application_name=self.application_name,
            hazard=self.hazard,
            statement_timeout_ms=self.limits.statement_ms,
            lock_timeout_ms=self.limits.lock_ms,
        )

    @cached_property
    def identity(self) -> Identity:
        with self._told("identify"):
            return identify(self.connection)

    def rows(self, statement: str, parameters: Parameters | None = None) -> list[dict[str, Any]]:
        """The rows of one statement; named placeholders are `%(name)s`, and only where parameters are given."""
        with self._told(statement):
            cursor = self.connection.cursor(row_factory=dict_row).execute(marked(statement).encode(), parameters)
            answered = cursor.pgresult and cursor.pgresult.status == psycopg.pq.ExecStatus.TUPLES_OK
            return cursor.fetchall() if answered else []  # rows without a column are rows too

    def change(self, statement: str, parameters: Parameters | None = None) -> int:
        """How many rows a statement has changed."""
        with self._told(statement):
            return max(self.connection.execute(marked(statement).encode(), parameters).rowcount, 0)

    def answer(
        self, package: str, stem: str, name: str = "", parameters: Parameters | None = None, /, **names: str
    ) -> list[dict[str, Any]]:
        """The rows of a question that lies in `stem.sql`; `names` are put in for `{name}` as they are."""
        statement = served(package, stem, self.connection.info.server_version)[name]
        for placeholder, text in names.items():
            statement = statement.replace(f"{{{placeholder}}}", text)
        return self.rows(statement, parameters or {})

    def frame(self, statement: str, parameters: Parameters | None = None) -> "pd.DataFrame":
        """The rows of one statement as a pandas frame, read through SQLAlchemy over this same connection."""
        import pandas as pd  # noqa: PLC0415

        with self._told(statement), self._engine.connect() as opened:
            chosen = opened if parameters else opened.execution_options(no_parameters=True)
            return pd.read_sql_query(marked(statement), chosen, params=parameters)

    @contextmanager
    def copying(self, statement: str) -> Iterator[Iterator[bytes]]:
        """The blocks of a `COPY ... TO STDOUT`; the rest is not sent where the caller has enough."""
        text = statement.encode()
        with self._told(statement), self.connection.cursor() as cursor, suppress(_Enough), cursor.copy(text) as copy:
            yield (bytes(block) for block in copy)
            # psycopg cancels a copy that is left by an error; one that is left early it takes for read to its end, and
            # the next statement of the session would fail.
            raise _Enough

    @cached_property
    def _engine(self) -> Any:
        from sqlalchemy import create_engine  # noqa: PLC0415
        from sqlalchemy.pool import StaticPool  # noqa: PLC0415

        return create_engine(
            "postgresql+psycopg://", creator=lambda: self.connection, poolclass=StaticPool, use_native_hstore=False
        )

    @contextmanager
    def bounded(self, limits: Limits) -> Iterator[Self]:
        """Other limits for the statements inside; those from before hold again afterwards."""
        before = self.limits
        self._limit(limits)
        try:
            yield self
        finally:
            self.limits = before
            if not self.lost:
                self._limit(before)

    @contextmanager
    def read_only(self) -> Iterator[Self]:
        """One transaction that cannot change anything, whatever this session may do otherwise; undone at the end."""
        with self._told("read-only transaction", listened=False), self.connection.transaction(force_rollback=True):
            self.connection.execute("SET TRANSACTION READ ONLY")
            yield self

    @contextmanager
    def changing(self) -> Iterator[Self]:
        """One transaction, committed at the end, and undone where something is raised."""
        with self._told("transaction", listened=False), self.connection.transaction():
            yield self

    @property
    def in_transaction(self) -> bool:
        """Whether the transaction that was begun is still open and well."""
        return self.connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS

    def _limit(self, limits: Limits) -> None:
        self.limits = limits
        settings = {"statement_timeout": str(limits.statement_ms), "lock_timeout": str(limits.lock_ms)}
        with self._told("limits", listened=False):
            configure(self.connection, settings)

    @property
    def connected(self) -> bool:
        return "connection" in self.__dict__

    @property
    def lost(self) -> bool:
        """Whether the database went away, or the session was closed, after it had answered."""
        return self.connected and self.connection.closed

    def close(self) -> None:
        if self.connected:
            self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _told(self, statement: str, *, listened: bool = True) -> Iterator[None]:
        if self.lost:
            raise TargetLost(f"the connection to {self.name} is gone", hint="start a new run once it answers again")
        started = perf_counter()
        try:
            yield
        except Exception as error:
            original = _driver_error(error)
            if original is None:
                raise
            raise self._explained(original) from None
        finally:
            if listened and self.on_statement:
                self.on_statement(statement, perf_counter() - started)

    def _explained(self, error: psycopg.Error) -> TargetLost | StatementFailed:
        if self.lost:
            hint = "see the server's log; start a new run once it answers again"
            return TargetLost(f"{self.name} ({place(self.login)}) went away", hint=hint)
        return StatementFailed(f"{self.name}: {reason(error)}")


def _driver_error(error: BaseException | None) -> psycopg.Error | None:
    """What the driver raised, under what pandas and SQLAlchemy wrapped around it."""
    while error is not None and not isinstance(error, psycopg.Error):
        error = getattr(error, "orig", None) or error.__cause__
    return error


def reason(error: psycopg.Error) -> str:
    """Why a statement failed, in a few words."""
    if isinstance(error, psycopg.errors.QueryCanceled):
        return "cancelled, most likely by the time limit of this question"
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return "would have had to wait for a lock"
    return (error.diag.message_primary or str(error) or type(error).__name__).strip().splitlines()[0]
