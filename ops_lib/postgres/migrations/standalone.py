"""Standalone: one statement that no transaction can hold, done once, or found done."""

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from ops_lib.model.errors import OpsError, Refused, TargetLost
from ops_lib.model.rollout import Limits
from ops_lib.model.step import Found
from ops_lib.postgres import session as sessions
from ops_lib.postgres.migrations import probes
from ops_lib.postgres.migrations.attempts import Attempts, gone
from ops_lib.postgres.migrations.checkpoints import Checkpoints
from ops_lib.postgres.migrations.probes import Look
from ops_lib.postgres.migrations.watch import Sight
from ops_lib.postgres.session import Session
from ops_lib.postgres.sql_file import Statement, located

_TIDYING_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standalone:
    """One part of a migration. `number` counts from 0."""

    session: Session
    limits: Limits
    file: Path
    statement: Statement
    checkpoints: Checkpoints
    number: int
    attempts: Attempts

    def carry(self) -> None:
        """Does it, unless a run that was killed has done it; what that has left behind is removed first."""
        began, found = self.checkpoints.states.get(self.number) == "began", self._look()
        if began and found.found is Found.UNKNOWN:
            raise self._cannot_tell()
        if not began and self._was_there(found):
            self.attempts.until_done(lambda sight: self._execute(self.statement.text))
        elif not began or found.found is not Found.DONE:
            self.checkpoints.note_alone(self.number, "began")
            self._act()
        self.checkpoints.note_alone(self.number, "done")

    def _was_there(self, found: Look) -> bool:
        """Whether its effect is there before it began: then the server says what it thinks of that, and not we."""
        unlike = bool(found.debris) and type(self.statement.node).__name__ == "IndexStmt"
        return found.found is Found.DONE or (unlike and not self.statement.node.if_not_exists)

    def _act(self) -> None:
        try:
            self.attempts.until_done(self._attempt, building=True)
        except OpsError as error:
            if isinstance(error, TargetLost) or not self._failed():
                raise
            with self.session.connection.transaction():
                self.checkpoints.forget(self.number)
            raise

    def _attempt(self, sight: Sight) -> float:
        """It may have been done by an attempt that was cancelled when it had nothing left to do."""
        connection, node = self.session.connection, self.statement.node
        found, before = self._look(), probes.invalid_indexes(connection, node)
        if found.found is Found.DONE:
            return 0.0
        self._tidy(found.debris)
        try:
            return self._execute(found.instead or self.statement.text)
        except OpsError as error:
            if gone(self.session, error.__cause__):
                raise
            unnamed = not getattr(node, "idxname", None)
            left = probes.invalid_indexes(connection, node) - before if unnamed else frozenset()
            self._tidy_if_possible({*self._look().debris, *map(probes.removal, left)})
            if not probes.known(node):  # what it has committed before the error would be had twice
                raise OpsError(error.message, hint=self.checkpoints.settle(self.number)) from None
            raise

    def _failed(self) -> bool:
        """After an error: whether nothing of it is there, so that it has not begun."""
        found = self._look()
        return probes.known(self.statement.node) and not (found.found is Found.DONE or found.debris or found.instead)

    def _execute(self, text: str) -> float:
        began = time.monotonic()
        lock_ms = 0 if probes.blocks_nobody(self.statement.node) else self.limits.lock_ms
        bounds = sessions.Limits(statement_ms=int(self.limits.build_s * 1000), lock_ms=lock_ms)
        with self.session.bounded(bounds), located(self.file, text, self.statement.line):
            self.session.connection.execute(text.encode())
        return time.monotonic() - began

    def _tidy(self, debris: Iterable[str]) -> None:
        """Removes what an earlier attempt left; an error where that cannot be done."""
        for statement in sorted(debris):
            self.attempts.tell(f"{self.attempts.what}: {statement}")
            with self._patiently(), located(self.file, statement, self.statement.line):
                self.session.connection.execute(statement.encode())

    def _tidy_if_possible(self, debris: Iterable[str]) -> None:
        """The same where an error is on its way already: what stays is told, and the next run removes it."""
        try:
            self._tidy(debris)
        except OpsError as error:
            self.attempts.tell(f"{self.attempts.what}: it is still there, and removed by the next run: {error.message}")

    def _patiently(self) -> AbstractContextManager[Session]:
        """Removing an index waits for those who use it, and blocks nobody."""
        return self.session.bounded(sessions.Limits(statement_ms=int(_TIDYING_SECONDS * 1000), lock_ms=0))

    def _look(self) -> Look:
        return probes.look(self.session.connection, self.statement.node)

    def _cannot_tell(self) -> Refused:
        where = f"{self.file}, line {self.statement.line}"
        what = f"{where}: it began and did not end, and nothing in the database tells whether it is done"
        return Refused(what, hint=self.checkpoints.settle(self.number))
