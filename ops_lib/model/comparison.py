"""What is different between two runs: findings, metrics, parameters, settings and source.

Findings are the same where their keys are; how bad they are and what causes them counts, the numbers in their sentences
do not, so that a run and its repetition compare equal. What a run did not get to see is never called gone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import unified_diff
from itertools import islice
from typing import Any

from ops_lib.model.changes import differences
from ops_lib.model.finding import Severity
from ops_lib.model.run import Outcome
from ops_lib.model.snapshot import Snapshot

Record = Mapping[str, Any]
Notebook = Mapping[str, Any]
INJECTED = "injected-parameters"
DIFF_LINES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two runs."""

    run_id: str
    runbook: str
    target: str | None
    outcome: str
    ended_at: str | None
    seconds: float | None

    @classmethod
    def of(cls, record: Record) -> "Side":
        return cls(
            run_id=record["run_id"],
            runbook=record["runbook"]["id"],
            target=(record["target"] or {}).get("name"),
            outcome=record["outcome"],
            ended_at=record["ended_at"],
            seconds=_seconds(record),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id, "runbook": self.runbook, "target": self.target, "outcome": self.outcome,
            "ended_at": self.ended_at, "seconds": self.seconds,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A number in both runs; `ratio` is nothing where it was zero before."""

    before: float
    now: float
    unit: str

    @property
    def ratio(self) -> float | None:
        return round(self.now / self.before, 4) if self.before else None

    @property
    def share(self) -> float:
        """How far it moved, from 0 to 1 (or 2, where it changed its sign)."""
        return abs(self.now - self.before) / max(abs(self.before), abs(self.now), 1e-9)

    def to_json(self) -> dict[str, Any]:
        return {"before": self.before, "now": self.now, "unit": self.unit, "ratio": self.ratio}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A value that is not the same in both runs; nothing where a run does not have it."""

    before: Any
    now: Any

    def to_json(self) -> dict[str, Any]:
        return {"before": self.before, "now": self.now}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that is different from `earlier` to `later`.

    `unseen` are findings of the earlier run that the later one, which did not succeed, may not have looked for. `other`
    are findings that have another cause. `settings` is nothing where one of the runs kept no snapshot; so is `changes`,
    which has what else is different between the snapshots. `source` is a unified diff of the runbooks as they ran.
    """

    earlier: Side
    later: Side
    new: tuple[Record, ...]
    gone: tuple[Record, ...]
    unseen: tuple[Record, ...]
    worse: tuple[tuple[Record, Record], ...]
    better: tuple[tuple[Record, Record], ...]
    other: tuple[tuple[Record, Record], ...]
    metrics: Mapping[str, Moved]
    parameters: Mapping[str, Changed]
    runbook: Mapping[str, Changed]
    settings: Mapping[str, Changed] | None = None
    changes: tuple[Mapping[str, Any], ...] | None = None
    source: tuple[str, ...] = ()

    @property
    def same_findings(self) -> bool:
        return not (self.new or self.gone or self.unseen or self.worse or self.better or self.other)

    def to_json(self) -> dict[str, Any]:
        """For `runbook diff --json`."""
        return {
            "earlier": self.earlier.to_json(),
            "later": self.later.to_json(),
            "findings": {
                "same": self.same_findings,
                **{name: [_brief(finding) for finding in getattr(self, name)] for name in ("new", "gone", "unseen")},
                **{
                    name: [{"before": _brief(before), "now": _brief(now)} for before, now in getattr(self, name)]
                    for name in ("worse", "better", "other")
                },
            },
            "seconds": {"before": self.earlier.seconds, "now": self.later.seconds, "ratio": self._ratio()},
            **self._values(),
            "changes": None if self.changes is None else list(self.changes),
            "source": list(self.source),
        }

    def since_last(self) -> dict[str, Any]:
        """For the later run's record: keys instead of findings, and no source."""
        singles, pairs = ("new", "gone", "unseen"), ("worse", "better", "other")
        return {
            "run_id": self.earlier.run_id,
            "ended_at": self.earlier.ended_at,
            "outcome": self.earlier.outcome,
            "seconds": self.earlier.seconds,
            **{name: [finding["key"] for finding in getattr(self, name)] for name in singles},
            **{name: [now["key"] for _, now in getattr(self, name)] for name in pairs},
            **self._values(),
        }

    def _values(self) -> dict[str, Any]:
        return {
            "metrics": _json(self.metrics),
            "parameters": _json(self.parameters),
            "runbook": _json(self.runbook),
            "settings": None if self.settings is None else _json(self.settings),
        }

    def _ratio(self) -> float | None:
        before, now = self.earlier.seconds, self.later.seconds
        return round(now / before, 4) if before and now is not None else None


def compare(
    earlier: Record,
    later: Record,
    *,
    snapshots: tuple[Snapshot, Snapshot] | None = None,
    notebooks: tuple[Notebook, Notebook] | None = None,
) -> Comparison:
    """The differences between two records, schema 1, and between what they kept where it is given."""
    before, now = _by_key(earlier), _by_key(later)
    both = [(before[key], now[key]) for key in now if key in before]
    missing = tuple(finding for key, finding in before.items() if key not in now)
    whole = later["outcome"] == Outcome.SUCCEEDED
    changes = [] if snapshots is None else [_change(change) for change in differences(*snapshots)]
    return Comparison(
        earlier=Side.of(earlier),
        later=Side.of(later),
        new=tuple(finding for key, finding in now.items() if key not in before),
        gone=missing if whole else (),
        unseen=() if whole else missing,
        worse=tuple(pair for pair in both if _weight(pair[1]) > _weight(pair[0])),
        better=tuple(pair for pair in both if _weight(pair[1]) < _weight(pair[0])),
        other=tuple(pair for pair in both if pair[0]["cause"] != pair[1]["cause"]),
        metrics=_moved(earlier["metrics"], later["metrics"]),
        parameters=_changed(earlier["parameters"], later["parameters"]),
        runbook=_changed(_version(earlier), _version(later)),
        settings=None if snapshots is None else _changed(snapshots[0].settings, snapshots[1].settings),
        changes=None if snapshots is None else tuple(c for c in changes if not c["subject"].startswith("setting:")),
        source=() if notebooks is None else _source_diff(*notebooks),
    )


def _version(record: Record) -> dict[str, Any]:
    return {name: record["runbook"].get(name) for name in ("id", "sha256", "commit")}


def _by_key(record: Record) -> dict[str, Record]:
    return {finding["key"]: finding for finding in record["findings"]}


def _weight(finding: Record) -> int:
    return Severity(finding["severity"]).weight


def _brief(finding: Record) -> dict[str, Any]:
    return {name: finding[name] for name in ("key", "severity", "cause", "summary")}


def _moved(before: Mapping[str, Record], now: Mapping[str, Record]) -> dict[str, Moved]:
    return {
        name: Moved(before=before[name]["value"], now=metric["value"], unit=metric["unit"])
        for name, metric in now.items()
        if name in before and before[name]["unit"] == metric["unit"] and before[name]["value"] != metric["value"]
    }


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Changed]:
    """The values that are different, in the order of their names.

    >>> _changed({"a": 1, "b": 2}, {"b": 3, "c": 4})
    {'a': Changed(before=1, now=None), 'b': Changed(before=2, now=3), 'c': Changed(before=None, now=4)}
    """
    return {
        name: Changed(before=before.get(name), now=now.get(name))
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    }


def _change(change: Any) -> dict[str, Any]:
    return {name: getattr(change, name) for name in ("kind", "subject", "before", "after", "factor")}


def _source_diff(before: Notebook, now: Notebook) -> tuple[str, ...]:
    """What was edited in the runbook; the parameters that a run was given are compared apart."""
    lines = unified_diff(_source(before), _source(now), "before", "now", lineterm="", n=2)
    return tuple(islice(lines, DIFF_LINES))


def _source(notebook: Notebook) -> Sequence[str]:
    return [line for cell in notebook.get("cells", ()) if not _is_injected(cell) for line in [*_lines(cell), ""]]


def _is_injected(cell: Record) -> bool:
    return INJECTED in (cell.get("metadata") or {}).get("tags", ())


def _lines(cell: Record) -> list[str]:
    source = cell.get("source", "")
    return ("".join(source) if isinstance(source, list) else str(source)).splitlines()


def _seconds(record: Record) -> float | None:
    began, ended = record.get("started_at"), record.get("ended_at")
    if not began or not ended:
        return None
    return round((datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds(), 3)


def _json(items: Mapping[str, Any]) -> dict[str, Any]:
    return {name: item.to_json() for name, item in items.items()}
