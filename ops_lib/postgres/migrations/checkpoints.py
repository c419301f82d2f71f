"""Checkpoints: how far a migration of several parts has come, in a table of the database that it changes.

The row of a part that is a transaction is written in that transaction. The row of a part that no transaction can hold
says `began` before it and `done` after it; one that is found at `began` has to be looked for. The rows go when the
history gets its row. They belong to the migration and not to a run, so that another run goes on where one was killed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from ops_lib.model.errors import Refused
from ops_lib.model.migration import Direction, Migration, Script
from ops_lib.postgres.migrations.blockers import ask, change
from ops_lib.postgres.session import Session

STEM = "checkpoints"
TABLE = "ops_runbooks.migration_parts"
_MAKING = int.from_bytes(b"making", "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which way of which migration the rows are about, in which text."""

    version: str
    direction: Direction
    sha256: str
    run_id: str

    def row(self, part: int, **more: str) -> dict[str, Any]:
        return {
            "version": self.version, "direction": self.direction.value, "sha256": self.sha256, "run_id": self.run_id,
            "part": part, **more,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoints:
    """The rows of one way of one migration; `states` are those that were there before, by the number of the part."""

    session: Session
    place: Place
    states: Mapping[int, str]

    def note(self, part: int, state: str) -> None:
        """Says that a part has begun or is done, in the transaction that is open; Refused where it was done before."""
        as_itself(self.session)
        if not ask(self.session.connection, STEM, "note", self.place.row(part, state=state)):
            raise Refused(f"part {part + 1} of {self.place.version} was done by another run", hint="see what else runs")

    def note_alone(self, part: int, state: str) -> None:
        """The same in a transaction of its own."""
        with self.session.connection.transaction():
            self.note(part, state)

    def forget(self, part: int = 0) -> None:
        """Takes back what was said of the parts from this one on."""
        as_itself(self.session)
        change(self.session.connection, STEM, "forget", self.place.row(part))

    def settle(self, part: int) -> str:
        """How a person says that a part is done, and that it is not."""
        row = sql.SQL("WHERE version = {} AND direction = {} AND part = {}").format(
            self.place.version, self.place.direction.value, part
        )
        done = sql.SQL("UPDATE ops_runbooks.migration_parts SET state = 'done' {}").format(row).as_string(None)
        not_done = sql.SQL("DELETE FROM ops_runbooks.migration_parts {}").format(row).as_string(None)
        return f"where it is done: {done}; where it is not: {not_done}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """All rows that a database has, read once."""

    session: Session
    run_id: str
    rows: tuple[Mapping[str, Any], ...]

    def of(self, migration: Migration, direction: Direction, script: Script) -> Checkpoints:
        """Those of one migration; Refused where it was left half done in the other way, or in another text."""
        digest = script.digest
        place = Place(version=migration.version, direction=direction, sha256=digest, run_id=self.run_id)
        own = [row for row in self.rows if row["version"] == migration.version]
        for row in own:
            if (row["sha256"], row["direction"]) != (digest, direction):
                what = f"{migration.name} was left half done by run {row['run_id']}"
                why = "and was changed since" if row["direction"] == direction else f"on its way to {row['direction']}"
                raise Refused(f"{what} {why}", hint=_hint(migration.version, row))
        return Checkpoints(session=self.session, place=place, states={row["part"]: row["state"] for row in own})


def shelf(session: Session, run_id: str) -> Shelf:
    """What a database says of migrations that were left half done."""
    connection = session.connection
    try:
        with connection.transaction():
            as_itself(session)
            there = ask(connection, STEM, "there")[0]["table_there"]
            rows = ask(connection, STEM, "read") if there else []
    except psycopg.errors.InsufficientPrivilege as error:
        who = session.login.role or connection.info.user
        hint = f"GRANT USAGE, CREATE ON SCHEMA ops_runbooks TO {who}, and its tables"
        raise Refused(f"{who} may not use the schema ops_runbooks: {error.diag.message_primary}", hint=hint) from None
    return Shelf(session=session, run_id=run_id, rows=tuple(rows))


def prepare(session: Session, stem: str, table: str) -> None:
    """Makes a table of ours, by the questions of a file, where there is none; Refused where that is not allowed."""
    connection = session.connection
    try:
        with connection.transaction():
            as_itself(session)
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_MAKING])
            (there,) = ask(connection, stem, "there")
            if not there["schema_there"]:
                change(connection, stem, "make_schema")
            if not there["table_there"]:
                change(connection, stem, "make_table")
    except psycopg.errors.InsufficientPrivilege as error:
        hint = f"CREATE SCHEMA IF NOT EXISTS ops_runbooks AUTHORIZATION {session.login.role or connection.info.user}"
        raise Refused(f"{table} cannot be made: {error.diag.message_primary}", hint=hint) from None


def as_itself(session: Session) -> None:
    """Be the role of the login until the end of the transaction: what a file became may not touch the rows."""
    role = sql.Identifier(session.login.role) if session.login.role else sql.SQL("NONE")
    session.connection.execute(sql.SQL("SET LOCAL ROLE {}").format(role))


def _hint(version: str, row: Mapping[str, Any]) -> str:
    cleared = sql.SQL("DELETE FROM ops_runbooks.migration_parts WHERE version = {}").format(version).as_string(None)
    back = "put the file back as it was" if row["direction"] == Direction.APPLY else "finish that way first"
    return f"{back}, or undo its first parts by hand and say so: {cleared}"
