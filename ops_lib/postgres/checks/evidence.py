"""What a check is given to look at, and what it is measured against."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ops_lib.model.errors import StatementFailed
from ops_lib.model.snapshot import Snapshot
from ops_lib.model.target import Login
from ops_lib.postgres import workload
from ops_lib.postgres.session import Parameters, Session

ROWS_KEPT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """From where on something is worth a person's attention. Times in seconds unless the name says otherwise.

    A wait shorter than `wait_s` is ordinary contention; behind a head that does nothing, or a queued DDL statement,
    `stalled_s` is enough, since such a wait does not end by itself.
    """

    slow_ms: float = 100.0
    wait_s: float = 10.0
    stalled_s: float = 3.0
    critical_wait_s: float = 60.0
    idle_s: float = 300.0
    connections_warning: float = 0.80
    connections_critical: float = 0.95
    modified_share: float = 0.20
    modified_rows: int = 10_000
    dead_share: float = 0.20
    dead_rows: int = 10_000


@dataclass(kw_only=True)
class Evidence:
    """One look at a target: the session, the time, the snapshots to compare with, and where experiments may be made."""

    session: Session
    now: datetime
    baseline: Snapshot | None = None
    newest: Snapshot | None = None
    scratch: Login | None = None
    tolerances: Tolerances = field(default_factory=Tolerances)
    notes: list[str] = field(default_factory=list)

    def answer(self, check: str, name: str = "", parameters: Parameters | None = None, /) -> list[dict[str, Any]]:
        """The rows of a check's own question."""
        return self.session.answer(__package__, check, name, parameters)

    def optional(self, check: str, name: str, parameters: Parameters | None = None, /) -> list[dict[str, Any]] | None:
        """The rows of a question that the check can do without; what was not seen goes into the notes."""
        try:
            return self.answer(check, name, parameters)
        except StatementFailed as error:
            self.notes.append(f"{name} could not be seen: {error.message}")
            return None

    def workload(self) -> workload.Workload:
        """What runs here and what it costs."""
        return workload.workload(self.session, baseline=self.baseline, newest=self.newest)


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun.

    >>> count(1, "index", "indexes"), count(0, "session")
    ('1 index', '0 sessions')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Some names in a sentence.

    >>> listed(["a", "b"]), listed(["a", "b", "c", "d", "e"])
    ('a and b', 'a, b, c and 2 more')
    """
    shown, rest = list(names[:most]), len(names) - most
    if rest > 0:
        return f"{', '.join(shown)} and {rest} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]])) if shown else ""
