"""Traces: scripts that are performed statement by statement, with what each one locks, rewrites and writes to the log.

Only relations that were there before the script count: nobody waits for a table that is new. The log is the whole
server's, so what others write at the same time is in the figure; on a scratch server nobody does.
"""

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import psycopg

from ops_lib.model.migration import Script
from ops_lib.model.rehearsal import Lock, Traced
from ops_lib.model.target import Hazard, Login
from ops_lib.postgres.connection import connect
from ops_lib.postgres.migrations.script import Part, body, parts
from ops_lib.postgres.questions import served
from ops_lib.postgres.sql_file import Statement, located

NAME = "runbook/rehearsal"
_POLL_S = 0.001
_WEAK = frozenset({"ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE"})
Observer = Callable[[psycopg.Connection, Statement | None], None]
"""Told of a session before its first statement, with None, and after each statement, within its transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Relation:
    name: str
    kind: str
    file: int


@contextmanager
def session(login: Login) -> Iterator[psycopg.Connection]:
    """A fresh session without limits, in which a script may change what it likes."""
    opened = connect(login, application_name=NAME, hazard=Hazard.CHANGES, statement_timeout_ms=0, lock_timeout_ms=0)
    with closing(opened):
        yield opened


def perform(connection: psycopg.Connection, script: Script) -> None:
    """A script as it would be applied, without its history; an error names file and line."""
    for part in parted(script):
        with whole(connection, script, part):
            for statement in part.statements:
                execute(connection, script, statement)


def traced(login: Login, script: Script, observe: Observer | None = None) -> tuple[Traced, ...]:
    """A script performed in a session of its own, and what each of its statements did."""
    with session(login) as connection, session(login) as watcher:
        tell = observe or (lambda *_: None)
        tell(connection, None)
        trace = _Trace(connection, watcher, script, tell)
        return tuple(done for part in parted(script) for done in trace.part(part))


def verify(connection: psycopg.Connection, script: Script) -> str | None:
    """What a verify script finds wrong, or nothing: every statement succeeds, and no row says false.

    In a transaction that can change nothing and is undone.
    """
    with connection.transaction(force_rollback=True):
        connection.execute("SET TRANSACTION READ ONLY")
        for statement in body(script):
            with located(script.file, statement.text, statement.line):
                answer = connection.execute(statement.text.encode())
            if wrong := _false_column(answer):
                return f"{script.file}, line {statement.line}: {wrong} is false"
    return None


@lru_cache(maxsize=64)
def parted(script: Script) -> tuple[Part, ...]:
    """The parts of a script, read once while it goes up, down and up again."""
    return parts(script)


@contextmanager
def whole(connection: psycopg.Connection, script: Script, part: Part) -> Iterator[None]:
    """One part, in a transaction where it can be in one; what a commit finds wrong is told at its last statement."""
    last = part.statements[-1]
    with located(script.file, last.text, last.line), nullcontext() if part.alone else connection.transaction():
        yield


def execute(connection: psycopg.Connection, script: Script, statement: Statement) -> None:
    with located(script.file, statement.text, statement.line):
        connection.execute(statement.text.encode())


class _Trace:
    """What the statements of one script do, seen from its own session and, while one stands alone, from another."""

    def __init__(
        self, connection: psycopg.Connection, watcher: psycopg.Connection, script: Script, observe: Observer
    ) -> None:
        self._connection, self._watcher, self._script, self._observe = connection, watcher, script, observe
        self._before = _relations(connection)

    def part(self, part: Part) -> list[Traced]:
        if part.alone:
            return [self._alone(statement) for statement in part.statements]
        held: set[Lock] = set()
        with whole(self._connection, self._script, part):
            return [self._inside(statement, held) for statement in part.statements]

    def _inside(self, statement: Statement, held: set[Lock]) -> Traced:
        facts = self._execute(statement)
        new = self._locks(self._connection) - held
        self._observe(self._connection, statement)
        held |= new | self._locks(self._connection)
        return _told(statement, facts, new)

    def _alone(self, statement: Statement) -> Traced:
        with _polled(lambda: self._locks(self._watcher)) as seen:
            facts = self._execute(statement)
        self._observe(self._connection, statement)
        return _told(statement, facts, seen)

    def _execute(self, statement: Statement) -> dict[str, Any]:
        files, written, began = _files(self._connection), self._written(), time.perf_counter()
        execute(self._connection, self._script, statement)
        seconds, volume = time.perf_counter() - began, self._written() - written
        return {"seconds": round(seconds, 6), "wal_bytes": volume, "rewrites": self._rewritten(files, statement)}

    def _locks(self, asker: psycopg.Connection) -> set[Lock]:
        """The locks on what was there before; of indexes only those that make others wait."""
        pid = {"pid": self._connection.info.backend_pid}
        held = ((self._before.get(oid), _words(mode)) for oid, mode in asker.execute(_asked(asker, "locks"), pid))
        return {
            Lock(relation=relation.name, mode=mode)
            for relation, mode in held
            if relation and not (relation.kind in "iI" and mode in _WEAK)
        }

    def _rewritten(self, files: Mapping[int, int], statement: Statement) -> tuple[str, ...]:
        """The tables whose rows lie in another file than before; emptying one is no rewrite."""
        if type(statement.node).__name__ == "TruncateStmt":
            return ()
        now = _files(self._connection)
        tables = {oid: each.name for oid, each in self._before.items() if each.kind in "rm" and oid in files}
        return tuple(sorted(name for oid, name in tables.items() if now.get(oid, files[oid]) != files[oid]))

    def _written(self) -> int:
        row = self._connection.execute(_asked(self._connection, "written")).fetchone()
        return int(row[0]) if row else 0


def _told(statement: Statement, facts: Mapping[str, Any], locks: Iterable[Lock]) -> Traced:
    ordered = tuple(sorted(locks, key=lambda lock: (lock.relation, lock.mode)))
    return Traced(line=statement.line, sql=_short(statement.text), locks=ordered, **facts)


@contextmanager
def _polled(look: Callable[[], set[Lock]]) -> Iterator[set[Lock]]:
    """What a look sees from time to time while something goes on; a lock held shorter than the pause may be missed."""
    seen: set[Lock] = set()
    over = threading.Event()

    def poll() -> None:
        while not over.wait(_POLL_S):
            seen.update(look())

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _relations(connection: psycopg.Connection) -> dict[int, _Relation]:
    rows = connection.execute(_asked(connection, "relations"), {})
    return {oid: _Relation(name=name, kind=kind, file=file) for oid, name, kind, file in rows}


def _files(connection: psycopg.Connection) -> dict[int, int]:
    return {oid: relation.file for oid, relation in _relations(connection).items()}


def _false_column(answer: "psycopg.Cursor[Any]") -> str | None:
    """The first column in which a row says false."""
    if answer.description is None:
        return None
    rows = answer.fetchall()
    found = (column.name for at, column in enumerate(answer.description) if any(row[at] is False for row in rows))
    return next(found, None)


def _words(mode: str) -> str:
    """A mode as SQL writes it.

    >>> _words("ShareUpdateExclusiveLock")
    'SHARE UPDATE EXCLUSIVE'
    """
    return re.sub(r"(?<!^)(?=[A-Z])", " ", mode.removesuffix("Lock")).upper()


def _short(text: str, limit: int = 200) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


def _asked(connection: psycopg.Connection, name: str) -> bytes:
    return served(__package__, "trace", connection.info.server_version)[name].encode()
