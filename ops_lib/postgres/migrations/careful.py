"""Careful: migrations are applied and reverted without keeping anybody waiting, and never half.

A migration of one part is one transaction, together with its row in the history. One of several parts goes on where it
was left, by the rows of `checkpoints`. Whoever does this holds an advisory lock of the database, which is tried for and
never waited on: what waits holds a snapshot, and CREATE INDEX CONCURRENTLY would wait for that.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import psycopg

from ops_lib.model.errors import BadInput, OpsError, Refused
from ops_lib.model.migration import Applied, Direction, Migration, Script
from ops_lib.model.rollout import Done, Limits
from ops_lib.postgres import session as sessions
from ops_lib.postgres.connection import place
from ops_lib.postgres.migrations import backfill, checkpoints, standalone
from ops_lib.postgres.migrations.attempts import Attempts, explained, run_id
from ops_lib.postgres.migrations.checkpoints import Checkpoints
from ops_lib.postgres.migrations.histories import History
from ops_lib.postgres.migrations.script import Part, parts
from ops_lib.postgres.migrations.transaction import only_sets, sets, transact
from ops_lib.postgres.migrations.watch import Sight, Tell, Watch
from ops_lib.postgres.questions import question
from ops_lib.postgres.session import Session
from ops_lib.postgres.sql_file import Statement

KEY: Final = int.from_bytes(b"migrate", "big")
_TOLD_CHARACTERS = 10_000
_LOCK_PATIENCE_SECONDS = 10.0
_LOOK_AGAIN_SECONDS = 0.1


def apply(
    session: Session, migrations: Sequence[Migration], history: History, *, limits: Limits | None = None, tell: Tell
) -> list[Done]:
    """Applies migrations in this order; those that the database has had are found done."""
    return _go(session, migrations, history, Direction.APPLY, limits or Limits(), tell)


def revert(
    session: Session, migrations: Sequence[Migration], history: History, *, limits: Limits | None = None, tell: Tell
) -> list[Done]:
    """Undoes migrations in this order; those that the database has not had are found done."""
    return _go(session, migrations, history, Direction.REVERT, limits or Limits(), tell)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """One migration on its way, parsed before anything begins."""

    migration: Migration
    script: Script
    parts: tuple[Part, ...]
    checkpoints: Checkpoints

    @property
    def whole(self) -> bool:
        """Whether it is one transaction, and nothing of it was done before."""
        if not self.script.transaction and any(may_commit(part) for part in self.parts):
            return False
        simple = len(self.parts) <= 1 and not any(part.alone for part in self.parts)
        return simple and not self.checkpoints.states and not self.script.batches

    @property
    def backfill(self) -> backfill.Backfill | None:
        """What it does in batches, where it says so."""
        if not self.script.batches:
            return None
        return backfill.from_script(self.script, f"{self.migration.version} {self.checkpoints.place.direction}")


def _go(
    session: Session,
    migrations: Sequence[Migration],
    history: History,
    direction: Direction,
    limits: Limits,
    tell: Tell,
) -> list[Done]:
    scripts = [(migration, _script(migration, direction)) for migration in migrations]
    parsed = [(migration, script, parts(script)) for migration, script in scripts]
    bounds = sessions.Limits(statement_ms=int(limits.statement_s * 1000), lock_ms=limits.lock_ms)
    try:
        with session.bounded(bounds), only_one(session), Watch(session, limits, tell) as watch:
            shelf = checkpoints.shelf(session, run_id(session))
            works = [
                _Work(
                    migration=migration, script=script, parts=found, checkpoints=shelf.of(migration, direction, script)
                )
                for migration, script, found in parsed
            ]
            history.prepare(session.connection)
            had = history.applied(session.connection)
            executor = _Executor(session, history, direction, limits, tell, watch)
            return [executor.carry(work, had.get(work.migration.version)) for work in works]
    except psycopg.Error as error:
        raise explained(session, error, f"the migration ({direction})") from error


def _script(migration: Migration, direction: Direction) -> Script:
    if direction is Direction.APPLY:
        return migration.up
    if migration.down is None:
        raise BadInput(f"{migration.name} has no way back", hint="write its revert file, or restore a backup (SOP-002)")
    return migration.down


def may_commit(part: Part) -> bool:
    """Whether a part is one statement that could end transactions by itself, as a procedure may."""
    return len(part.statements) == 1 and type(part.statements[0].node).__name__ in {"CallStmt", "DoStmt"}


@contextmanager
def only_one(session: Session) -> Iterator[None]:
    """Be the only one who migrates this database; Refused names who does already.

    The lock goes with the session, and with everything that it had not committed. It is tried for a few seconds: a run
    that was killed a moment ago may still have a session that is ending.
    """
    connection, until = session.connection, time.monotonic() + _LOCK_PATIENCE_SECONDS
    while connection.execute("SELECT pg_try_advisory_lock(%s)", [KEY]).fetchone() != (True,):
        holder = connection.execute(question("lock_holder").encode(), {"key": KEY}).fetchone()
        if time.monotonic() >= until:
            who = f"{holder[0]} (session {holder[1]} of {holder[2]})" if holder else "another session"
            raise Refused(f"{place(session.login)} is being migrated by {who}", hint="wait until that has ended")
        time.sleep(_LOOK_AGAIN_SECONDS)
    try:
        yield
    finally:
        with suppress(psycopg.Error):
            connection.execute("SELECT pg_advisory_unlock(%s)", [KEY])


class _Executor:
    """Carries out one migration after the other, in one direction."""

    def __init__(
        self, session: Session, history: History, direction: Direction, limits: Limits, tell: Tell, watch: Watch
    ) -> None:
        self._session, self._history, self._direction = session, history, direction
        self._limits, self._tell, self._watch = limits, tell, watch

    def carry(self, work: _Work, applied: Applied | None) -> Done:
        """One migration, with its time told to the listener of the session."""
        if self._is_done(work.migration, applied):
            return self._done(work, seconds=0.0, found=True)
        began = time.perf_counter()
        attempts = self._attempts(f"{self._direction} {work.migration.name}")
        try:
            self._watch.ready(attempts.what)
            held = self._whole(work, attempts) if work.whole else self._in_parts(work, attempts)
        except OpsError as error:
            if not (work.whole and self._was_overtaken(error, work.migration)):
                raise
            return self._done(work, seconds=0.0, found=True)
        finally:
            self._listen(work, time.perf_counter() - began)
        return self._done(work, seconds=time.perf_counter() - began, held_s=held, attempts=attempts)

    def _whole(self, work: _Work, attempts: Attempts) -> float:
        statements = work.parts[0].statements if work.parts else ()
        close, restore = partial(self._note, work.migration), any(map(sets, statements))
        return attempts.until_done(self._transaction(work, statements, close, restore=restore))

    def _in_parts(self, work: _Work, attempts: Attempts) -> float:
        checkpoints.prepare(self._session, checkpoints.STEM, checkpoints.TABLE)
        began = time.monotonic()
        held = [self._part(work, number, part, attempts) for number, part in enumerate(work.parts)]

        def close(seconds: float) -> None:
            self._note(work.migration, time.monotonic() - began)
            work.checkpoints.forget()
            if work.backfill:
                backfill.forget(self._session, work.backfill)

        attempts.until_done(self._transaction(work, (), close, restore=True))
        return max(held, default=0.0)

    def _part(self, work: _Work, number: int, part: Part, attempts: Attempts) -> float:
        if work.checkpoints.states.get(number) == "done":
            for statement in filter(only_sets, part.statements):
                self._session.connection.execute(statement.text.encode())
            return 0.0
        if number:
            self._watch.ready(attempts.what)
        if work.backfill:
            if number not in work.checkpoints.states:
                work.checkpoints.note_alone(number, "began")
            backfill.carry(self._session, work.backfill, self._watch, self._limits, self._tell)
            work.checkpoints.note_alone(number, "done")
            return 0.0
        alone = standalone.Standalone(
            session=self._session, limits=self._limits, file=work.script.file, statement=part.statements[0],
            checkpoints=work.checkpoints, number=number, attempts=attempts,
        )  # fmt: skip
        if part.alone or number in work.checkpoints.states:
            alone.carry()
            return 0.0
        act = self._transaction(work, part.statements, lambda seconds: work.checkpoints.note(number, "done"))
        try:
            return attempts.until_done(act)
        except OpsError as error:
            if not (may_commit(part) and isinstance(error.__cause__, psycopg.errors.InvalidTransactionTermination)):
                raise
            alone.carry()
            return 0.0

    def _transaction(
        self, work: _Work, statements: Sequence[Statement], close: Callable[[float], None], *, restore: bool = False
    ) -> Callable[[Sight], float]:
        lock_ms, file = self._limits.lock_ms, work.script.file
        return lambda sight: transact(
            self._session, file, statements, sight, lock_ms=lock_ms, key=KEY, close=close, restore=restore
        )

    def _note(self, migration: Migration, seconds: float) -> None:
        if self._direction is Direction.APPLY:
            self._history.record(self._session.connection, migration, seconds)
        else:
            self._history.forget(self._session.connection, migration)

    def _is_done(self, migration: Migration, applied: Applied | None) -> bool:
        if self._direction is Direction.REVERT:
            return applied is None
        if applied and not migration.repeated and applied.checksum and applied.checksum != migration.checksum:
            what = f"{migration.name} was applied meanwhile, by somebody else and with another text"
            raise Refused(what, hint="see who else migrates this database")
        return applied is not None and not (migration.repeated and applied.checksum != migration.checksum)

    def _was_overtaken(self, error: OpsError, migration: Migration) -> bool:
        """Whether another tool, which does not know our lock, has done it while we tried: its row was in the way."""
        if self._session.lost or not isinstance(error.__cause__, psycopg.errors.UniqueViolation):
            return False
        return self._is_done(migration, self._history.applied(self._session.connection).get(migration.version))

    def _attempts(self, what: str) -> Attempts:
        return Attempts(session=self._session, watch=self._watch, limits=self._limits, tell=self._tell, what=what)

    def _listen(self, work: _Work, seconds: float) -> None:
        if self._session.on_statement:
            text = f"-- {self._direction} {work.migration.name}\n{work.script.text.strip()}"
            self._session.on_statement(text[:_TOLD_CHARACTERS], seconds)

    def _done(
        self, work: _Work, *, seconds: float, held_s: float = 0.0, found: bool = False, attempts: Attempts | None = None
    ) -> Done:
        return Done(
            version=work.migration.version,
            name=work.migration.name,
            direction=self._direction,
            seconds=seconds,
            held_s=held_s,
            attempts=attempts.failures + 1 if attempts else 0,
            blocked_s=attempts.blocked_s if attempts else 0.0,
            found=found,
            ended=tuple(str(each) for each in attempts.ended) if attempts else (),
            unseen=self._watch.unseen,
        )
