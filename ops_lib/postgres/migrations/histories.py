"""Histories: what a database has had, in the table of the tool whose files they are.

Each is read and written as that tool does it, so that either can go on where the other has been. What is recorded is
recorded inside the transaction of the change: a database never has the one without the other.
"""

from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from typing import Any, ClassVar, Protocol

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from ops_lib.model.errors import Refused
from ops_lib.model.migration import Applied, Folder, Layout, Migration
from ops_lib.postgres.migrations.layouts import alembic, flyway
from ops_lib.postgres.questions import served
from ops_lib.postgres.sql_file import Connection

Row = tuple[Any, ...]


class History(Protocol):
    """What one database has had of one folder. It learns where its table lies from the connections that it is given."""

    @property
    def table(self) -> str:
        """Its qualified name, as `public.goose_db_version`."""

    def applied(self, connection: Connection) -> dict[str, Applied]:
        """By version, in the order in which they were applied; empty where there is no table yet."""

    def prepare(self, connection: Connection) -> None:
        """Makes the table as the tool makes it, where it is missing."""

    def record(self, connection: Connection, migration: Migration, seconds: float | None = None) -> None:
        """Keeps that a migration has been applied, in the transaction that is open.

        Without `seconds` the server takes the time since the transaction began. It is one statement without an
        answer, which a pipeline can hold.
        """

    def forget(self, connection: Connection, migration: Migration) -> None:
        """Keeps that a migration has been undone, in the transaction that is open."""


def history_of(folder: Folder) -> History:
    """The history that belongs to the files of a folder."""
    return _KINDS[folder.layout](folder)


class _Table:
    """A table with one row for each version; the schema is where the search path finds it, or the first of that."""

    layout: ClassVar[Layout]
    name: ClassVar[str]

    home: ClassVar[str | None] = None

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.schema = self.home or "public"
        self._found = self.home

    @property
    def table(self) -> str:
        return f"{self.schema}.{self.name}"

    def applied(self, connection: Connection) -> dict[str, Applied]:
        try:
            return self._read(self._ask(connection, "applied").fetchall()) if self._there(connection) else {}
        except psycopg.errors.InsufficientPrivilege as error:
            said = error.diag.message_primary
            hint = f"GRANT it USAGE on the schema and SELECT on {self.table}"
            raise Refused(f"{connection.info.user} may not read the history: {said}", hint=hint) from None

    def prepare(self, connection: Connection) -> None:
        if not self._there(connection):
            with connection.transaction():
                self._make(connection)
            self._found = self.schema

    def _make(self, connection: Connection) -> None:
        self._ask(connection, "prepare")

    def record(self, connection: Connection, migration: Migration, seconds: float | None = None) -> None:
        self._ask(connection, "record", {**self._row(migration), "seconds": seconds})

    def forget(self, connection: Connection, migration: Migration) -> None:
        self._ask(connection, "forget", self._row(migration))

    def _there(self, connection: Connection) -> bool:
        """Whether there is the table; first where it was found before, since migrations change search paths."""
        values = {"schema": self._found, "name": self.name, "elsewhere": None if self.home else self.name}
        ((schema, there),) = self._ask(connection, "where", values, own=False).fetchall()
        self.schema = self.home or schema
        if there:
            self._found = self.schema
        return bool(there)

    def _read(self, rows: Sequence[Row]) -> dict[str, Applied]:
        return {version: Applied(version=version, checksum=checksum, at=at) for version, checksum, at in rows}

    def _row(self, migration: Migration) -> dict[str, Any]:
        return {
            "version": migration.version,
            "description": migration.description,
            "checksum": migration.checksum,
        }

    def _ask(
        self, connection: Connection, verb: str, values: dict[str, Any] | None = None, *, own: bool = True
    ) -> "psycopg.Cursor[Row]":
        question = f"{self.layout}_{verb}" if own else verb
        statement = _statement(question, self.schema, self.name, connection.info.server_version)
        return connection.cursor(row_factory=tuple_row).execute(statement, values)


@cache
def _statement(question: str, schema: str, name: str, server_version: int) -> bytes:
    assert __package__ is not None
    text = served(__package__, "histories", server_version)[question]
    return sql.SQL(text).format(table=sql.Identifier(schema, name)).as_bytes(None)


class _Plain(_Table):
    """The table of the platform, which one of its own migrations may make."""

    layout, name = Layout.PLAIN, "schema_migrations"
    home = "ops"

    def _make(self, connection: Connection) -> None:
        connection.execute("CREATE SCHEMA IF NOT EXISTS ops")
        self._ask(connection, "prepare")


class _Diesel(_Table):
    layout, name = Layout.DIESEL, "__diesel_schema_migrations"


class _Dbmate(_Table):
    layout, name = Layout.DBMATE, "schema_migrations"


class _Goose(_Table):
    layout, name = Layout.GOOSE, "goose_db_version"


class _Flyway(_Table):
    """Flyway keeps every try. What was undone, or is below a baseline, counts as Flyway counts it."""

    layout, name = Layout.FLYWAY, "flyway_schema_history"

    def _read(self, rows: Sequence[Row]) -> dict[str, Applied]:
        found: dict[str, Applied] = {}
        failed: dict[str, str] = {}
        for version, description, kind, checksum, success, at in rows:
            key = str(f"R__{description}" if version is None else self._known.get(flyway.place(version), version))
            if kind == "SCHEMA":
                continue
            failed.pop(key, None)
            if not success:
                failed[key] = description
            elif kind == "INIT" or kind.endswith("BASELINE"):
                found |= {each: Applied(version=each, at=at) for each in self._up_to(version)}
            else:
                found.pop(key, None)
                if kind != "DELETE" and not kind.startswith("UNDO"):
                    found[key] = Applied(version=key, checksum=checksum, at=at)
        if failed:
            hint = "look at what it left, put that in order, and run flyway repair"
            raise Refused(f"{self.table} says that {min(failed)} has failed half-way", hint=hint)
        return found

    @cached_property
    def _known(self) -> dict[flyway.Place, str]:
        return {flyway.place(each.version): each.version for each in self.folder.migrations if not each.repeated}

    def _up_to(self, baseline: str) -> list[str]:
        return [version for place, version in self._known.items() if place <= flyway.place(baseline)]

    def _row(self, migration: Migration) -> dict[str, Any]:
        return {
            "version": None if migration.repeated else migration.version,
            "description": migration.description[:200],
            "checksum": int(migration.checksum),
            "script": migration.up.file.relative_to(self.folder.path).as_posix(),
        }


class _Alembic(_Table):
    """alembic keeps the heads only: a revision that is applied stands for all from which it comes."""

    layout, name = Layout.ALEMBIC, alembic.TABLE

    def record(self, connection: Connection, migration: Migration, seconds: float | None = None) -> None:
        before = self._before([migration.version]) - {migration.version}
        self._move(connection, before, {migration.version})

    def forget(self, connection: Connection, migration: Migration) -> None:
        heads = {row[0] for row in self._ask(connection, "applied").fetchall()} - {migration.version}
        parents = set(self._parents[migration.version])
        covered = self._before(heads).union(*(self._before([each]) - {each} for each in parents))
        self._move(connection, {migration.version}, parents - covered)

    def _move(self, connection: Connection, left: set[str], reached: set[str]) -> None:
        self._ask(connection, "move", {"left": sorted(left), "reached": sorted(reached)})

    def _read(self, rows: Sequence[Row]) -> dict[str, Applied]:
        heads = [row[0] for row in rows]
        had = self._before(heads)
        known = [each.version for each in self.folder.migrations if each.version in had]
        if strange := sorted(had.difference(known)):
            what = f"{self.table} stands at {strange[0]}, and {self.folder.path} has no such revision"
            raise Refused(what, hint="take the folder that has it: what comes before it cannot be told without")
        return {version: Applied(version=version) for version in known}

    def _before(self, revisions: Iterable[str]) -> set[str]:
        """Some revisions and all from which they come."""
        found: set[str] = set()
        waiting = list(revisions)
        while waiting:
            revision = waiting.pop()
            if revision not in found:
                found.add(revision)
                waiting += self._parents.get(revision, ())
        return found

    @cached_property
    def _parents(self) -> dict[str, tuple[str, ...]]:
        """From which revisions each comes. alembic takes the beginning of a name for the name."""
        known = [each.version for each in self.folder.migrations]
        said = {each.version: alembic.parents(each.up.file) for each in self.folder.migrations}
        return {
            revision: tuple(version for parent in parents for version in _meant(parent, known))
            for revision, parents in said.items()
        }


def _meant(name: str, known: list[str]) -> list[str]:
    return [name] if name in known else [version for version in known if version.startswith(name)]


_KINDS: dict[Layout, type[_Table]] = {
    kind.layout: kind for kind in (_Plain, _Diesel, _Dbmate, _Goose, _Flyway, _Alembic)
}
