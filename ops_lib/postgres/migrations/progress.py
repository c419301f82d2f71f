"""Progress: how far a long change has come, in words for the person who waits for it."""

from dataclasses import dataclass

import psycopg

from ops_lib.model.rollout import Blocker
from ops_lib.model.times import format_seconds
from ops_lib.postgres.migrations.blockers import ask, sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """An index that is being built. `waits_for` is whose transaction has to end before it goes on."""

    index: str
    phase: str
    percent: float | None = None
    waits_for: Blocker | None = None

    def __str__(self) -> str:
        """One line.

        >>> str(Build(index="games_day_idx", phase="building index: scanning table", percent=41.2))
        'games_day_idx: building index: scanning table, 41 %'
        """
        percent = "" if self.percent is None else f", {self.percent:.0f} %"
        behind = f", behind {self.waits_for}" if self.waits_for else ""
        return f"{self.index or 'index'}: {self.phase}{percent}{behind}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows that are changed in batches: how many were passed, of about how many, in how many seconds."""

    what: str
    passed: int
    total: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.passed / self.seconds if self.seconds > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds that are left at this speed, or nothing while nobody can tell."""
        left = max(self.total - self.passed, 0)
        return left / self.per_second if self.per_second else None

    def __str__(self) -> str:
        """One line.

        >>> str(Rows(what="mart.games", passed=300, total=1200, seconds=3))
        'mart.games: 25 %, 300 of about 1,200 rows, 100 rows/s, about 9.0 s left'
        """
        percent = min(100 * self.passed / self.total, 100) if self.total else 100
        left = f", about {format_seconds(self.left_s)} left" if self.left_s else ""
        total = max(self.total, self.passed)
        speed = f"{self.per_second:,.0f} rows/s{left}"
        return f"{self.what}: {percent:.0f} %, {self.passed:,} of about {total:,} rows, {speed}"


def build(connection: psycopg.Connection, pid: int) -> Build | None:
    """The index that a session is building, or nothing where it builds none."""
    rows = ask(connection, "progress", "build", {"pid": pid})
    if not rows:
        return None
    row = rows[0]
    waits_for = next(iter(sessions(connection, [row["locker"]])), None) if row["locker"] else None
    return Build(index=row["index"], phase=row["phase"], percent=row["percent"], waits_for=waits_for)
