"""Watch: a second connection that looks on while the first one changes something.

It sees who waits behind us and ends our statement before anybody has waited too long; it knows how far the replicas are
behind and how full the disk is, and says between two changes whether there may be another. `tell` is called from its
thread.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import psycopg

from ops_lib.model.errors import OpsError, Refused
from ops_lib.model.rollout import Blocker, Limits
from ops_lib.postgres.connection import connect
from ops_lib.postgres.migrations import blockers, progress
from ops_lib.postgres.migrations.blockers import ask
from ops_lib.postgres.session import Session

Tell = Callable[[str], None]
Row = Mapping[str, Any]
_SUFFIX = "/watch"
_SLOW_SECONDS = 1.0


@dataclass(slots=True, kw_only=True, eq=False)
class Sight:
    """What was seen while one attempt was under way.

    `waits` has how long we waited for each lock, in milliseconds, by when that began; waits that were shorter than the
    time between two looks are not in it. `stopped` says why the watch has cancelled the statement.
    """

    since: float = field(default_factory=time.monotonic)
    building: bool = False
    waits: dict[float | None, float] = field(default_factory=dict)
    blocked_s: float = 0.0
    blockers: tuple[Blocker, ...] = ()
    stopped: str = ""

    @property
    def waited_ms(self) -> float:
        return sum(self.waits.values())


class Watch:
    """Open while `with` lasts. Its connection has the application name of the run, and what it is for."""

    def __init__(self, session: Session, limits: Limits, tell: Tell) -> None:
        self._session, self._limits, self._tell = session, limits, tell
        self._resume = f"runbook resume {session.application_name.rsplit('/', 1)[-1]}"
        self._pid = session.connection.info.backend_pid
        self._connection = self._open()
        self._folder = _data_folder(self._connection)
        self._replicas = self._lags()
        self._current: Sight | None = None
        self._gate, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._slow_at = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._connection.close()

    @property
    def unseen(self) -> tuple[str, ...]:
        """What nobody could watch, in words for the record."""
        seen = {"disk not seen": self._folder is not None, "replica lag not seen": None not in self._replicas.values()}
        return tuple(words for words, known in seen.items() if not known)

    @contextmanager
    def over(self, *, building: bool = False) -> Iterator[Sight]:
        """Looks on while the first connection is inside; cancels what it does there, and nothing after it."""
        sight = Sight(building=building)
        self._current = sight
        try:
            yield sight
        finally:
            with self._gate:
                self._current = None

    def ready(self, what: str) -> None:
        """Returns once `what` may begin: the disk has room and the replicas keep up. Refused where they do not."""
        if self._connection.closed:
            self._connection = self._open()
        self._require_disk(what)
        if self._behind():
            self._await_replicas(what)

    def end(self, found: Sequence[Blocker]) -> tuple[Blocker, ...]:
        """Ends those of some who may be ended; who was."""
        return blockers.end(self._connection, found)

    # -- between two changes ----------------------------------------------------------------------------------------

    def _require_disk(self, what: str) -> None:
        if self._folder is None:
            return
        room = os.statvfs(self._folder)
        used = 1 - room.f_bavail / max(room.f_blocks - room.f_bfree + room.f_bavail, 1)
        if used >= self._limits.disk_used:
            hint = f"make room on it, then go on with: {self._resume}"
            raise Refused(f"{what} does not begin: the disk of {self._folder} is {used:.0%} full", hint=hint)

    def _await_replicas(self, what: str) -> None:
        until = time.monotonic() + self._limits.lag_patience_s
        self._tell(f"{what} waits: {self._behind()}")
        while behind := self._behind():
            if time.monotonic() >= until:
                hint = f"see why it does not keep up, then go on with: {self._resume}"
                seconds = self._limits.lag_patience_s
                raise Refused(f"{what} does not begin: {behind}, and did not catch up in {seconds:.0f} s", hint=hint)
            time.sleep(self._limits.poll_ms / 1000)
            self._replicas = self._lags()

    def _behind(self) -> str:
        """The replica that is too far behind, in words."""
        for name, lag in self._replicas.items():
            if lag and (lag[0] > self._limits.lag_s or lag[1] > self._limits.lag_bytes):
                return f"{name} is {lag[0]:.1f} s and {lag[1] / 2**20:,.0f} MiB behind"
        return ""

    def _lags(self) -> dict[str, tuple[float, int] | None]:
        rows = ask(self._connection, "watch", "replicas")
        return {row["name"]: None if row["bytes"] is None else (row["seconds"], row["bytes"]) for row in rows}

    # -- the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._over.wait(self._limits.poll_ms / 1000):
            with suppress(psycopg.Error, OpsError):  # it is opened again at the next look, or `ready` says why not
                if self._connection.closed:
                    self._connection = self._open()
                self._look()

    def _look(self) -> None:
        sight = self._current
        if sight is not None:
            self._look_at(sight, ask(self._connection, "blockers", "waits"))
        if time.monotonic() - self._slow_at >= _SLOW_SECONDS:
            self._slow_at = time.monotonic()
            self._replicas = self._lags()
            if sight is not None and sight.building and (build := progress.build(self._connection, self._pid)):
                self._tell(str(build))

    def _look_at(self, sight: Sight, rows: Sequence[Row]) -> None:
        mine = next((row for row in rows if row["pid"] == self._pid), None)
        if mine:
            sight.waits[mine["since"]] = mine["waits_s"] * 1000
            sight.blockers = self._in_the_way(mine["blockers"] or [])
        waited = max((row["waits_s"] for row in behind(rows, self._pid) if row["client"]), default=0.0)
        age = time.monotonic() - sight.since
        sight.blocked_s = max(sight.blocked_s, min(waited, age))
        if (sight.blocked_s * 1000) + 1.5 * self._limits.poll_ms >= self._limits.wait_ms:
            self._cancel(sight, f"somebody had waited {sight.blocked_s:.2f} s behind it")

    def _in_the_way(self, pids: Sequence[int]) -> tuple[Blocker, ...]:
        found = blockers.sessions(self._connection, pids)
        return found + blockers.prepared(self._connection, self._pid) if 0 in pids else found

    def _cancel(self, sight: Sight, why: str) -> None:
        with self._gate:
            if self._current is sight and not sight.stopped:
                sight.stopped = why
                self._connection.execute("SELECT pg_cancel_backend(%s)", [self._pid])

    def _open(self) -> psycopg.Connection:
        """As the login itself: the session that it may have to cancel belongs to it, whatever role it has taken."""
        login = replace(self._session.login, role=None)
        return connect(login, application_name=_named(self._session.application_name), statement_timeout_ms=10_000)


def behind(rows: Sequence[Row], pid: int) -> list[Row]:
    """Those who wait for a session, and those who wait for them in turn.

    >>> rows = [{"pid": 2, "blockers": [1]}, {"pid": 3, "blockers": [2]}, {"pid": 4, "blockers": [9]}]
    >>> [row["pid"] for row in behind(rows, 1)]
    [2, 3]
    """
    reached, found = {pid}, []
    left = list(rows)
    while next_ones := [row for row in left if reached & set(row["blockers"] or ())]:
        found += next_ones
        reached |= {row["pid"] for row in next_ones}
        left = [row for row in left if row not in next_ones]
    return [row for row in found if row["pid"] != pid]


def _named(application_name: str) -> str:
    """The name of the run with what this connection is for, where the server would not cut that from the run's id."""
    return application_name + _SUFFIX if len(application_name) + len(_SUFFIX) <= 63 else application_name


def _data_folder(connection: psycopg.Connection) -> Path | None:
    """The server's data directory, where it is on this machine."""
    rows = ask(connection, "watch", "data_directory")
    if not rows or not connection.info.host.startswith("/"):
        return None
    folder = Path(rows[0]["setting"])
    try:
        os.statvfs(folder)
    except OSError:
        return None
    return folder
