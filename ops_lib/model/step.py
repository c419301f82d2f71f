"""Steps: what is known of one from the runs before, and what may be done with it. Nothing here is ever guessed.

A step that ended well is carried: its recorded answer is used, and it does not act again. One that began and did not
end, or ended in an error, may have had its effect or not: it is probed, and where a probe cannot tell, a person is
asked. Only what certainly did not happen acts again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ops_lib.model.errors import BadInput
from ops_lib.model.journal import Event
from ops_lib.model.run import StepStatus

MOST_TRIES = 5
LONGEST_WAIT_SECONDS = 30.0
_ENDED = (StepStatus.DONE, StepStatus.CARRIED)


class Found(StrEnum):
    """What a probe has found of a step's effect."""

    DONE = "done"
    NOT_DONE = "not done"
    UNKNOWN = "unknown"


class Settled(StrEnum):
    """What a person has said of a step whose effect no probe can tell."""

    DONE = "done"
    REDO = "redo"


class Next(StrEnum):
    """What becomes of a step that a cell asks for."""

    ACT = "act"
    CARRY = "carry"
    PROBE = "probe"
    ASK = "ask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What the runs before say of a step.

    `row` is whether a row was to be left in the transaction of its effect. `whole` is whether its answer was kept as
    it was: one that was too long, or held a secret, is not there to be carried.
    """

    name: str
    status: StepStatus
    run_id: str
    row: bool = False
    answer: Any = None
    evidence: Any = None
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a run goes on from: the runs that it resumes, the oldest first, their steps, and what a person has said.

    `terms` are runbook, parameters and target of the first of them that knew its target. `handoffs` are those that were
    made, by id.
    """

    chain: tuple[str, ...] = ()
    steps: Mapping[str, Prior] = field(default_factory=dict)
    settled: Mapping[str, Settled] = field(default_factory=dict)
    target: Mapping[str, Any] | None = None
    requesters: frozenset[str] = frozenset()
    sessions: tuple[str, ...] = ()
    handoffs: Mapping[str, Event] = field(default_factory=dict)

    @property
    def resumes(self) -> str | None:
        """The run that this one takes up."""
        return self.chain[-1] if self.chain else None


NO_PAST = Past()


def on_begin(prior: Prior | None) -> Next:
    """What a step does that a cell asks for.

    >>> on_begin(None), on_begin(Prior(name="a", status=StepStatus.DONE, run_id="R"))
    (<Next.ACT: 'act'>, <Next.CARRY: 'carry'>)
    >>> on_begin(Prior(name="a", status=StepStatus.FAILED, run_id="R"))
    <Next.PROBE: 'probe'>
    """
    if prior is None:
        return Next.ACT
    return Next.CARRY if prior.status in _ENDED else Next.PROBE


def on_probe(found: Found, settled: Settled | None) -> Next:
    """What a step does once it was probed; a person's word counts only where no probe can tell.

    >>> on_probe(Found.NOT_DONE, Settled.DONE), on_probe(Found.UNKNOWN, None)
    (<Next.ACT: 'act'>, <Next.ASK: 'ask'>)
    """
    if found is not Found.UNKNOWN:
        return Next.CARRY if found is Found.DONE else Next.ACT
    if settled is None:
        return Next.ASK
    return Next.CARRY if settled is Settled.DONE else Next.ACT


def steps_of(events: Iterable[Event], run_id: str, before: Mapping[str, Prior] | None = None) -> dict[str, Prior]:
    """What is known of each step after a journal, on top of what was known before it."""
    steps = dict(before or {})
    for event in events:
        if event["kind"] in _READERS:
            prior = _READERS[event["kind"]](event, run_id, steps.get(event["name"]))
            steps[prior.name] = prior
    return steps


def _began(event: Event, run_id: str, before: Prior | None) -> Prior:
    return Prior(name=event["name"], status=StepStatus.UNKNOWN, run_id=run_id, row=event.get("row", False))


def _ended(event: Event, run_id: str, before: Prior | None) -> Prior:
    return Prior(
        name=event["name"],
        status=StepStatus(event["status"]),
        run_id=run_id,
        row=before.row if before else False,
        answer=event.get("answer", event["evidence"]),
        evidence=event["evidence"],
        whole=event.get("whole", True),
    )


def _carried(event: Event, run_id: str, before: Prior | None) -> Prior:
    return Prior(
        name=event["name"],
        status=StepStatus.DONE,
        run_id=event["from"],
        row=before.row if before else False,
        answer=event["answer"],
        evidence=event["evidence"],
        whole=event["whole"],
    )


_READERS = {"step-began": _began, "step-ended": _ended, "step-carried": _carried}


def settled_from(pairs: Sequence[tuple[str, str]]) -> dict[str, Settled]:
    """What a person has said of steps, as NAME and `done` or `redo`.

    >>> settled_from([("load", "redo")])
    {'load': <Settled.REDO: 'redo'>}
    """
    said: dict[str, Settled] = {}
    for name, word in pairs:
        if word not in [*Settled]:
            raise BadInput(f"--step {name}={word} is not understood", hint=f"write {name}=done or {name}=redo")
        if said.setdefault(name, Settled(word)) != word:
            raise BadInput(f"--step {name} is given twice, and not the same", hint="give it once")
    return said


def unknown_steps(steps: Mapping[str, Prior]) -> list[str]:
    """The steps that are not known to have ended well."""
    return [name for name, prior in steps.items() if prior.status not in _ENDED]


def pause_before(attempt: int) -> float:
    """How many seconds a step waits before its attempt number 2, 3 ...: twice as long each time.

    >>> [pause_before(attempt) for attempt in (2, 3, 4, 5)]
    [1.0, 2.0, 4.0, 8.0]
    """
    return float(min(2 ** (attempt - 2), LONGEST_WAIT_SECONDS))
