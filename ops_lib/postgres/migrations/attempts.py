"""Attempts: a change is tried again while others are in its way, and given up with their names.

What is tried again has failed for reasons of the moment: a lock was not to be had in time, somebody waited too long
behind it, a deadlock, a serialization failure. Everything else is an error at once.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from ops_lib.model.errors import OpsError, Refused, StatementFailed, TargetLost
from ops_lib.model.rollout import Blocker, Blocking, Limits, pause_after
from ops_lib.postgres.connection import place
from ops_lib.postgres.migrations import blockers
from ops_lib.postgres.migrations.watch import Sight, Tell, Watch
from ops_lib.postgres.session import Session, reason

_ROUNDS_OF_ENDING = 5


@dataclass(kw_only=True, eq=False)
class Attempts:
    """The attempts at one migration. Each of its transactions is tried until it succeeds or `patience_s` is over."""

    session: Session
    watch: Watch
    limits: Limits
    tell: Tell
    what: str
    failures: int = 0
    blocked_s: float = 0.0
    ended: list[Blocker] = field(default_factory=list)
    _seen: tuple[Blocker, ...] = ()
    _rounds: int = 0

    def until_done(self, act: Callable[[Sight], float], *, building: bool = False) -> float:
        """What `act` answers, which is undone as a whole wherever it raises."""
        began, before = time.monotonic(), self.failures
        while True:
            try:
                with self.watch.over(building=building) as sight:
                    return act(sight)
            except OpsError as error:
                why = hindrance(error, sight)
                if gone(self.session, error.__cause__):
                    raise lost(self.session, self.what) from error
                if not why:
                    raise
                self.failures += 1
                self._seen = sight.blockers or self._seen
                self._wait(why, sight, time.monotonic() - began, self.failures - before)
            finally:
                self.blocked_s = max(self.blocked_s, sight.blocked_s)

    def _wait(self, why: str, sight: Sight, seconds: float, failed: int) -> None:
        """Returns when it is time to try again; Refused where it is not."""
        left = self.limits.patience_s - seconds
        if left <= 0:
            self._give_up(sight, seconds)
            return
        pause = min(left, pause_after(failed, random.random()))  # noqa: S311 - two should not come back together
        behind = f", behind {sight.blockers[0]}" if sight.blockers else ""
        self.tell(f"{self.what}: {why}{behind}; attempt {failed + 1} in {pause:.1f} s")
        time.sleep(pause)

    def _give_up(self, sight: Sight, seconds: float) -> None:
        if self.limits.blocker is Blocking.END and self._rounds < _ROUNDS_OF_ENDING:
            self._rounds += 1
            ended = self.watch.end(sight.blockers or self._seen)
            for each in ended:
                self.tell(f"{self.what}: ended {each}")
            self.ended += ended
            if ended:
                return
        if sight.stopped and not sight.blockers:
            stopped = f"{self.what} was stopped {self.failures} times in {seconds:.0f} s"
            hint = "it does too much under its locks: split it, or go on at a quiet time with: "
            limit = self.limits.wait_ms / 1000
            raise Refused(f"{stopped}: others waited {limit:g} s behind it", hint=hint + resume(self.session))
        found, again = sight.blockers or self._seen, resume(self.session)
        raise blockers.refusal(self.what, found, resume=again, seconds=seconds)


def resume(session: Session) -> str:
    """The command that goes on where a run was stopped."""
    return f"runbook resume {run_id(session)}"


def lost(session: Session, what: str) -> TargetLost:
    """The error of a database that went away."""
    where = f"{session.name} ({place(session.login)})"
    return TargetLost(f"{where} went away during {what}", hint=f"once it answers, go on with: {resume(session)}")


def run_id(session: Session) -> str:
    """The run that a session belongs to."""
    return session.application_name.rsplit("/", 1)[-1]


def gone(session: Session, error: BaseException | None) -> bool:
    """Whether the session is over; the server's last word may be there before the end of the connection is."""
    return session.lost or (isinstance(error, psycopg.Error) and str(error.sqlstate).startswith("57P"))


def explained(session: Session, error: psycopg.Error, what: str) -> OpsError:
    """What the driver has raised while the rows of a history or a checkpoint were read or written."""
    return lost(session, what) if gone(session, error) else StatementFailed(f"{what}: {reason(error)}")


def hindrance(error: OpsError, sight: Sight) -> str:
    """Why it is worth another attempt; empty where it is not."""
    match error.__cause__:
        case psycopg.errors.LockNotAvailable():
            return "got no lock in time"
        case psycopg.errors.QueryCanceled() if sight.stopped:
            return sight.stopped
        case psycopg.errors.DeadlockDetected():
            return "met a deadlock"
        case psycopg.errors.SerializationFailure():
            return "met a serialization failure"
    return ""
