"""Rollouts: how carefully a change is brought into a database that others use, and what came of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ops_lib.model.migration import Direction

_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0


class Blocking(StrEnum):
    """What becomes of a session that a change cannot get past."""

    STOP = "stop"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a change may cost those who use the database.

    `lock_ms` is what one transaction may wait for locks in all, since whoever queues behind it waits as long; `wait_ms`
    is how long anybody may wait behind it, whether it waits itself or works. It is tried again until `patience_s` is
    over. `statement_s` bounds what holds locks, `build_s` what blocks nobody, such as CREATE INDEX CONCURRENTLY.
    `disk_used` is a share of the disk of the data directory.
    """

    lock_ms: int = 500
    wait_ms: int = 1000
    patience_s: float = 120
    statement_s: float = 300
    build_s: float = 3600
    lag_s: float = 10
    lag_bytes: int = 1 << 30
    lag_patience_s: float = 600
    disk_used: float = 0.85
    poll_ms: int = 100
    blocker: Blocking = Blocking.STOP


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """Somebody whom a change has to wait for. `pid` is 0 for a prepared transaction, which `gid` names.

    `protected` says why it is never ended, and is empty where it may be. `reads_only` is true where it has written
    nothing and locked nothing against writers.
    """

    pid: int
    application: str = ""
    user: str = ""
    state: str = ""
    transaction_s: float | None = None
    statement: str = ""
    began: str = ""
    gid: str = ""
    protected: str = ""
    reads_only: bool = False

    @property
    def remedy(self) -> str:
        """The statement that ends it.

        >>> Blocker(pid=7).remedy, Blocker(pid=0, gid="it's").remedy
        ('SELECT pg_terminate_backend(7)', "ROLLBACK PREPARED 'it''s'")
        """
        if self.gid:
            return "ROLLBACK PREPARED '{}'".format(self.gid.replace("'", "''"))
        return f"SELECT pg_terminate_backend({self.pid})"

    @property
    def may_be_ended(self) -> bool:
        """Whether ending it loses nothing but the rest of a reading, or what nobody is working on."""
        harmless = self.reads_only or self.state.startswith("idle in transaction")
        return bool(self.pid) and not self.protected and harmless

    def __str__(self) -> str:
        """One line.

        >>> str(Blocker(pid=7, application="etl", user="ann", state="active", transaction_s=61.4, statement="SELECT 1"))
        "session 7 (etl, user ann, active, transaction open for 61 s: 'SELECT 1')"
        """
        if self.gid:
            return f"the prepared transaction {self.gid!r} (user {self.user}, {self.transaction_s or 0:.0f} s old)"
        open_for = "" if self.transaction_s is None else f", transaction open for {self.transaction_s:.0f} s"
        who = f"{self.application or 'no application name'}, user {self.user}, {self.state or 'state not visible'}"
        return f"session {self.pid} ({who}{open_for}: {self.statement!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One migration that a database has had, or has lost, and what it took.

    `held_s` is how long its last transaction was open, `blocked_s` the longest that anybody was seen to wait behind
    it. `found` is true where it was done before. `ended` are the sessions that had to go, `unseen` what could not be
    watched.
    """

    version: str
    name: str
    direction: Direction
    seconds: float
    held_s: float = 0.0
    attempts: int = 1
    blocked_s: float = 0.0
    found: bool = False
    ended: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


def pause_after(attempt: int, chance: float) -> float:
    """Seconds until the next attempt after `attempt` failed ones: twice as long each time, and not all at once.

    `chance` is between 0 and 1.

    >>> [pause_after(attempt, 0.5) for attempt in (1, 2, 3, 20)]
    [0.5, 1.0, 2.0, 30.0]
    >>> pause_after(1, 0.0), pause_after(20, 1.0)
    (0.375, 30.0)
    """
    steady: float = _FIRST_PAUSE_SECONDS * 2.0 ** min(attempt - 1, 16)
    return min(_LONGEST_PAUSE_SECONDS, steady * (0.75 + chance / 2))
