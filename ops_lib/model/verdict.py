"""The verdict: what a record says to a person, on a terminal, in a chat and at the head of the report.

It is made from the record alone; the results that the cells have shown add what could not be seen.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from ops_lib.model.approval import broke_glass
from ops_lib.model.finding import Finding, Severity, roots, worst
from ops_lib.model.result import Result
from ops_lib.model.run import Outcome

Record = Mapping[str, Any]
ENDED: Final = {
    Outcome.SUCCEEDED: "succeeded",
    Outcome.FAILED: "failed",
    Outcome.TIMED_OUT: "timed out",
    Outcome.INTERRUPTED: "was interrupted",
    Outcome.REFUSED: "was refused",
}
_MOVED: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A finding that no other one explains, with the symptoms folded under it."""

    finding: Finding
    symptoms: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a run has to say: one sentence, then what to act on in order, what changed, and what it could not see.

    `act` are the roots above info in their order; `noted` are the others. `severity` is the worst of all. `found`
    is the headline without the first finding, for where that one stands right below. `emergency` says who went on
    without the approval that was demanded, and why.
    """

    run_id: str
    runbook: str
    title: str
    target: str | None
    outcome: Outcome
    seconds: float | None
    found: str
    headline: str
    severity: Severity | None
    act: tuple[Root, ...]
    noted: tuple[Root, ...]
    changed: tuple[str, ...] = field(default=())
    unseen: tuple[str, ...] = field(default=())
    unanswered: tuple[str, ...] = field(default=())
    emergency: str | None = None

    @property
    def tone(self) -> str:
        """`good`, or what stands in the way of it: `warning` or `critical`."""
        if self.emergency:
            return "critical"
        if self.outcome is not Outcome.SUCCEEDED:
            return "critical" if self.outcome in (Outcome.FAILED, Outcome.TIMED_OUT) else "warning"
        if self.act and self.severity:
            return self.severity.value
        return "warning" if self.unanswered else "good"


def verdict_of(record: Record, results: Iterable[Result] = ()) -> Verdict:
    """The verdict of a record, schema 1; with the results that its cells have shown, what they could not answer too."""
    shown = list(results)
    findings = [Finding.from_json(item) for item in record["findings"]]
    by_key = {finding.key: finding for finding in findings}
    folded = [
        Root(finding=finding, symptoms=tuple(by_key[key] for key in finding.symptoms if key in by_key))
        for finding in sorted(roots(findings), key=lambda finding: finding.rank)
    ]
    act = tuple(root for root in folded if root.finding.severity is not Severity.INFO)
    outcome = Outcome(record["outcome"])
    unanswered = [plain(result.title) for result in shown if result.skipped]
    emergency = _emergency(record)
    told, healthy = _found(record, outcome, act, unanswered), outcome is Outcome.SUCCEEDED
    found = f"{emergency} {told}" if emergency else told
    return Verdict(
        run_id=record["run_id"],
        runbook=record["runbook"]["id"],
        title=record["runbook"]["title"],
        target=(record.get("target") or {}).get("name"),
        outcome=outcome,
        seconds=_seconds(record),
        found=found,
        headline=f"{found} First: {plain(act[0].finding.summary)}" if healthy and act else found,
        severity=worst(findings),
        act=act,
        noted=tuple(root for root in folded if root.finding.severity is Severity.INFO),
        changed=tuple(_changes(record.get("since_last"))),
        unseen=tuple(_unseen(record, shown)),
        unanswered=tuple(unanswered),
        emergency=emergency,
    )


def _emergency(record: Record) -> str | None:
    """Whose break-glass it was and why, where there was one."""
    broken = [approval for approval in record.get("approvals") or [] if broke_glass([approval])]
    if not broken:
        return None
    return f"BREAK-GLASS by {plain(broken[0].get('who'))}: {plain(broken[0].get('reason')).rstrip('.')}."


def plain(text: object) -> str:
    """A text on one line, without what would move a cursor or change a colour.

    >>> plain("a\\n b\\x1b[31m")
    'a b?[31m'
    """
    return "".join(c if c.isprintable() else "?" for c in " ".join(str(text).split()))


def _found(record: Record, outcome: Outcome, act: Sequence[Root], unanswered: Sequence[str]) -> str:
    """What was found, in a sentence; a question without an answer is never taken for good news."""
    found = _count(act)
    if outcome is Outcome.SUCCEEDED:
        if unanswered:
            found = found if act else "Nothing to act on in what was answered"
            return f"{found}. Not answered: {' '.join(unanswered)}"
        return f"{found}." if act else "Nothing to act on: nothing above info."
    error = record.get("error") or {}
    reason = ": ".join(plain(error[key]) for key in ("message", "hint") if error.get(key))
    told = f"The run {ENDED[outcome]}{f': {reason}' if reason else ''}"
    told += "" if told.endswith((".", "!", "?")) else "."
    return f"{told} Until then it found {found[0].lower()}{found[1:]}." if act else told


def _count(act: Sequence[Root]) -> str:
    symptoms = sum(len(root.symptoms) for root in act)
    things = "One thing" if len(act) == 1 else f"{len(act)} things"
    explained = f", explaining {symptoms} {'symptom' if symptoms == 1 else 'symptoms'}" if symptoms else ""
    return f"{things} to act on{explained}"


def _seconds(record: Record) -> float | None:
    began, ended = record.get("started_at") or record.get("queued_at"), record.get("ended_at")
    if not began or not ended:
        return None
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


def _changes(since: Mapping[str, Any] | None) -> Iterator[str]:
    """What is different from the run before, in sentences; nothing where there was none."""
    if not since:
        return
    earlier = _minute(since.get("ended_at")) or plain(since["run_id"])
    for word in ("new", "worse", "gone"):
        if since.get(word):
            yield f"{word} since {earlier}: {', '.join(map(plain, since[word]))}"
    metrics: Mapping[str, Mapping[str, Any]] = since.get("metrics") or {}
    moved = sorted(metrics.items(), key=lambda item: -_moved(item[1]))
    for name, metric in [item for item in moved if _moved(item[1]) >= _MOVED][:3]:
        yield f"{plain(name)}: {_number(metric['before'])} before, {_number(metric['now'])} {plain(metric['unit'])} now"


def _moved(metric: Mapping[str, Any]) -> float:
    before, now = float(metric["before"]), float(metric["now"])
    return abs(now - before) / max(abs(before), abs(now), 1e-9)


def _minute(at: str | None) -> str | None:
    return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M} UTC" if at else None


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _unseen(record: Record, results: Iterable[Result]) -> Iterator[str]:
    seen: set[str] = set()
    for result in results:
        told = [f"{result.title}: {result.skipped}"] if result.skipped else []
        for text in map(plain, [*told, *result.notes]):
            if text not in seen:
                seen.add(text)
                yield text
    not_run = sum(cell["status"] == "not-run" for cell in record.get("cells", []))
    if not_run:
        yield f"{not_run} {'cell' if not_run == 1 else 'cells'} never ran"
