"""How long runs of a runbook took that succeeded, so that somebody who waits knows how far one is."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ops_lib.model.run import Outcome
from ops_lib.model.search import Label
from ops_lib.operations.browse import documents, list_records
from ops_lib.operations.desk import Desk

_RUNS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Medians in seconds: of the whole run, from its first cell to its end, and of each cell by its id."""

    runs: int = 0
    seconds: float | None = None
    cells: Mapping[str, float] = field(default_factory=dict)


def usual_pace(desk: Desk, runbook: str) -> Pace:
    """The pace of the newest runs of a runbook that succeeded; an empty one where there are none."""
    labels = {Label.RUNBOOK: runbook, Label.OUTCOME: Outcome.SUCCEEDED.value}
    return pace_of(documents(desk, list_records(desk, labels=labels, limit=_RUNS)))


def pace_of(records: Sequence[Mapping[str, Any]]) -> Pace:
    """The medians of some records.

    >>> one = {"started_at": "2026-01-31T04:00:00Z", "ended_at": "2026-01-31T04:00:03Z",
    ...        "cells": [{"id": "a", "seconds": 2.5}, {"id": "b", "seconds": None}]}
    >>> pace_of([one])
    Pace(runs=1, seconds=3.0, cells={'a': 2.5})
    """
    whole = [_seconds(record) for record in records if record["started_at"] and record["ended_at"]]
    cells: dict[str, list[float]] = {}
    for record in records:
        for cell in record["cells"]:
            if cell["seconds"] is not None:
                cells.setdefault(cell["id"], []).append(cell["seconds"])
    medians = {cell: statistics.median(taken) for cell, taken in cells.items()}
    return Pace(runs=len(whole), seconds=statistics.median(whole) if whole else None, cells=medians)


def _seconds(record: Mapping[str, Any]) -> float:
    began, ended = (datetime.fromisoformat(record[name]) for name in ("started_at", "ended_at"))
    return (ended - began).total_seconds()
