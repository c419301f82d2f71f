"""Runs: what is asked for, by whom and why, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

RUN_VARIABLE = "RUNBOOK_RUN_ID"
"""The variable in whose value every process of a run, and whatever it starts, has the run's id."""


class Outcome(StrEnum):
    """How a run ended: whether the procedure ran, not what it saw."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    INTERRUPTED = "interrupted"
    REFUSED = "refused"


class CellStatus(StrEnum):
    """What became of a cell."""

    OK = "ok"
    FAILED = "failed"
    NOT_RUN = "not-run"
    SKIPPED = "skipped"


class StepStatus(StrEnum):
    """What became of a step; `unknown` began and did not end."""

    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_RUN = "not-run"
    CARRIED = "carried"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a run happens: a person, a schedule, an alert or a handoff, with who and how that is known."""

    kind: str
    who: str
    how_known: str

    def to_json(self) -> dict[str, str]:
        return {"kind": self.kind, "who": self.who, "how_known": self.how_known}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One asked-for run of a runbook; parameters as they were given, not yet bound.

    `break_glass` is why it may go on without the approval that its target demands.
    `scheduled_for` is the due time of a schedule, whose cause this run has.
    `ambient` are parameters that were given to no runbook in particular: one takes those that it has.
    """

    runbook: str
    cause: Cause
    target: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    ambient: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    ticket: str | None = None
    break_glass: str | None = None
    scheduled_for: datetime | None = None
