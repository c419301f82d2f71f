"""The checks of a drill as they are made: timed, named, and over with the first that fails."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from ops_lib.model.drill import Check, Drill
from ops_lib.model.errors import BadInput, OpsError, Refused

T = TypeVar("T")
_FULL = "No space left on device"


class Caught(Exception):
    """A check has failed, and the drill is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a drill is to find out beyond wholeness.

    `system` is the cluster that the backup has to be of, `fresh` how much may be lost at the most, and `trust` whether
    a backup is restored that this archive did not write. `until` is the moment to which archived WAL is replayed.
    """

    system: str | None = None
    fresh: timedelta | None = None
    trust: bool = False
    until: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Examination:
    """A drill on its way, begun `at`."""

    at: datetime
    checks: list[Check] = field(default_factory=list)
    recovery_seconds: float | None = None
    recovery_point: datetime | None = None

    def check(self, name: str, look: Callable[[], tuple[str, T]], *, whole: bool = True) -> T:
        """What a look has found; Caught where it found damage.

        What the team or the machine is to blame for goes through.
        """
        began = time.monotonic()
        try:
            said, found = look()
        except (BadInput, Refused):
            raise
        except (OpsError, OSError) as error:
            told = error.message if isinstance(error, OpsError) else str(error)
            if _FULL in told:
                raise Refused(f"the drill ran out of room: {told}", hint="make room, and drill it again") from None
            self._add(name, False, told, began)
            raise Caught from None
        self._add(name, True if whole else None, said, began)
        return found

    def _add(self, name: str, passed: bool | None, said: str, began: float) -> None:
        seconds = round(time.monotonic() - began, 3)
        self.checks.append(Check(name=name, passed=passed, said=said, seconds=seconds))

    def told(self, backup: str, digest: str) -> Drill:
        """The drill as it stands."""
        return Drill(
            backup=backup, at=self.at, manifest_sha256=digest, checks=tuple(self.checks),
            recovery_seconds=self.recovery_seconds, recovery_point=self.recovery_point,
        )  # fmt: skip
