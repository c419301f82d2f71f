"""Applies what is pending, fast and plainly: for databases that nobody uses yet, such as the demonstration's.

Migrations that are one transaction each are sent in a row, without waiting for each answer. The server still does them
one after the other, and what comes after an error it leaves undone. Only the last of a row waits for the disk, which
then holds those before it too: a server that crashes meanwhile loses the latest, always with their rows of history.
A migration in several parts is applied part by part, and where one fails those before it stay.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NoReturn

import psycopg

from ops_lib.model.errors import Refused
from ops_lib.model.migration import Folder, Migration, Script, edited, pending
from ops_lib.postgres.migrations import files
from ops_lib.postgres.migrations.histories import History, history_of
from ops_lib.postgres.migrations.script import Part, parts
from ops_lib.postgres.sql_file import Connection, Statement, located

Progress = Callable[[str], None]
_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """A pending migration, and what its script consists of."""

    migration: Migration
    parts: tuple[Part, ...]

    @property
    def whole(self) -> bool:
        """Whether it is one transaction."""
        return len(self.parts) <= 1 and not any(part.alone for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """A command that the server has been sent; its statement, where it is one of the script."""

    cursor: "psycopg.Cursor[Any]"
    script: Script
    statement: Statement | None


def apply_pending(connection: Connection, path: Path, progress: Progress) -> list[Migration]:
    """Applies all that lies in a folder and the database has not had, as `apply_folder` does."""
    return apply_folder(connection, files.read(path), progress)


def apply_folder(connection: Connection, folder: Folder, progress: Progress) -> list[Migration]:
    """Applies what the database has not had; stops at the first error.

    Refused where a file was changed after it was applied. Nothing is applied where one of the files is not SQL.
    """
    history = history_of(folder)
    due = _due(connection, folder, history)
    if due:
        history.prepare(connection)
    for some in _batches(due):
        for each in some:
            progress(f"applying {each.migration.version} {each.migration.description}")
        if some[0].whole:
            _apply_in_a_row(connection, history, some)
        else:
            _apply_by_parts(connection, history, some[0])
    return [each.migration for each in due]


def _due(connection: Connection, folder: Folder, history: History) -> list[_Due]:
    had = history.applied(connection)
    for each in edited(folder, had):
        hint = "put it back as it was, and write the change as a new migration"
        raise Refused(f"{each.up.file} was changed after it was applied", hint=hint)
    return [_Due(migration=each, parts=parts(each.up)) for each in pending(folder, had)]


def _batches(due: Sequence[_Due]) -> Iterator[Sequence[_Due]]:
    """Those that can be sent in a row, and each other one by itself."""
    for whole, group in groupby(due, key=lambda each: each.whole):
        some = list(group)
        size = _AT_ONCE if whole else 1
        yield from (some[start : start + size] for start in range(0, len(some), size))


def _apply_in_a_row(connection: Connection, history: History, some: Sequence[_Due]) -> None:
    sent: list[_Sent] = []
    errors: list[psycopg.Error] = []
    try:
        with _kept(errors), connection.pipeline(), _kept(errors):
            _send(connection, history, some, sent)
    finally:
        if not connection.closed:
            connection.rollback()  # which does nothing where all is committed
    if errors:
        _raise_located(errors[0], sent)


@contextmanager
def _kept(errors: list[psycopg.Error]) -> Iterator[None]:
    """Keeps what the driver raises: one that leaves a pipeline hides what the pipeline itself has to say."""
    try:
        yield
    except psycopg.Error as error:
        errors.append(error)


def _send(connection: Connection, history: History, some: Sequence[_Due], sent: list[_Sent]) -> None:
    def send(command: str, script: Script, statement: Statement | None = None) -> None:
        sent.append(_Sent(cursor=connection.cursor(), script=script, statement=statement))
        sent[-1].cursor.execute(command.encode())

    for each in some:
        script = each.migration.up
        send("BEGIN", script)
        if each is not some[-1]:
            send("SET LOCAL synchronous_commit = off", script)
        for statement in (statement for part in each.parts for statement in part.statements):
            send(statement.text, script, statement)
        history.record(connection, each.migration)
        send("COMMIT", script)


def _raise_located(error: psycopg.Error, sent: Sequence[_Sent]) -> NoReturn:
    """Tells an error by the first command that the server has not done; what it had sent after that does not count."""
    failed = next((each for each in sent if each.cursor.pgresult is None), sent[-1])
    text, line = failed.script.text, failed.script.first_line
    if failed.statement:
        text, line = failed.statement.text, failed.statement.line
    with located(failed.script.file, text, line):
        raise error
    raise AssertionError


def _apply_by_parts(connection: Connection, history: History, due: _Due) -> None:
    script = due.migration.up
    began = time.monotonic()
    for part in due.parts:
        with (
            located(script.file, script.text, script.first_line),
            nullcontext() if part.alone else connection.transaction(),
        ):
            _run(connection, script, part)
            if part is due.parts[-1]:
                history.record(connection, due.migration, time.monotonic() - began)


def _run(connection: Connection, script: Script, part: Part) -> None:
    for statement in part.statements:
        with located(script.file, statement.text, statement.line):
            connection.execute(statement.text.encode())
