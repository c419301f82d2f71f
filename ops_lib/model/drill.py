"""Restore drills: what bringing a backup back has shown, check by check."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from ops_lib.model.times import format_instant

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that a drill has looked at, and what it saw; `passed` is nothing where it could not look."""

    name: str
    passed: bool | None
    said: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """What restoring a backup has shown.

    `recovery_seconds` is the time until the restored server answered, consistent. `recovery_point` is the moment that
    it was brought back to; what came after it until the drill began would have been lost.
    """

    backup: str
    at: datetime
    manifest_sha256: str
    checks: tuple[Check, ...]
    recovery_seconds: float | None = None
    recovery_point: datetime | None = None

    @property
    def proven(self) -> bool:
        """Whether it was restored and nothing failed."""
        return self.recovery_seconds is not None and all(check.passed is not False for check in self.checks)

    @property
    def caught_by(self) -> Check | None:
        """The first check that failed."""
        return next((check for check in self.checks if check.passed is False), None)

    @property
    def loss(self) -> timedelta | None:
        return self.at - self.recovery_point if self.recovery_point else None

    def to_json(self) -> dict[str, Any]:
        point = format_instant(self.recovery_point) if self.recovery_point else None
        at = format_instant(self.at)
        told = {**asdict(self), "at": at, "recovery_point": point, "proven_at": at if self.proven else None}
        return {"schema": SCHEMA, **told}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        point = data["recovery_point"]
        return cls(
            backup=data["backup"],
            at=datetime.fromisoformat(data["at"]),
            manifest_sha256=data["manifest_sha256"],
            checks=tuple(Check(**item) for item in data["checks"]),
            recovery_seconds=data["recovery_seconds"],
            recovery_point=datetime.fromisoformat(point) if point else None,
        )
