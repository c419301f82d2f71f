"""The kernel's part in a step: ask the supervisor, probe, act, and tell it how that ended.

An action that takes an argument is given the target inside a transaction, in which the row of the step is left: then
its effect and the proof of it are one, and nobody has to be asked. Any other action acts by itself, and `probe` tells
afterwards whether it did.
"""

import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ops_lib.model.errors import BadInput, Interrupted, OpsError, Refused
from ops_lib.model.run import StepStatus
from ops_lib.model.step import MOST_TRIES, Found, Next, pause_before
from ops_lib.model.target import Hazard
from ops_lib.model.times import format_seconds
from ops_lib.operations.conversation import Conversation
from ops_lib.postgres import effects
from ops_lib.postgres.effects import HadItsEffect, Look, Place
from ops_lib.postgres.session import Session

ROW = "row"
PROBE = "probe"
_NOT_TRIED_AGAIN = (BadInput, Refused, Interrupted, HadItsEffect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What an author has written for one step. `tries` above one says that the action is idempotent.

    `elsewhere` says that the action leaves the target as it is: a rehearsal on a copy needs nobody's approval.
    """

    name: str
    action: Callable[..., Any]
    probe: Callable[[], bool | None] | None = None
    evidence: Callable[[], Any] | None = None
    tries: int = 1
    elsewhere: bool = False

    @property
    def transactional(self) -> bool:
        """Whether the action takes the one argument that it has to be given."""
        return len(_demanded(self.action)) == 1

    def check(self) -> None:
        """BadInput where a step cannot be understood, before anything is done."""
        if not callable(self.action) or len(_demanded(self.action)) > 1:
            hint = "give a function of no argument, or of one: the transaction"
            raise BadInput(f"step {self.name!r} has no action that can be called", hint=hint)
        if isinstance(self.tries, bool) or not 1 <= self.tries <= MOST_TRIES:
            raise BadInput(f"step {self.name!r}: retry is {self.tries!r}", hint=f"a number of tries, 1 to {MOST_TRIES}")


def _demanded(action: Callable[..., Any]) -> list[str]:
    """The arguments without which an action cannot be called."""
    parameters = inspect.signature(action).parameters.values() if callable(action) else ()
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.kind in plain and p.default is inspect.Parameter.empty]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A step that is done, now or before: its answer, and the run in which it was done where that was another."""

    name: str
    seconds: float
    answer: Any = None
    whole: bool = True
    carried_from: str | None = None
    how: str = ""
    remark: str | None = None


class Act:
    """One step on its way. `target` opens the session on which a transaction is made."""

    def __init__(self, run: Conversation, work: Work, target: Callable[[], Session]) -> None:
        self._run = run
        self._work = work
        self._target = target
        self._remark: str | None = None
        self._row = False

    def perform(self) -> Done:
        """Do the step, or find that it is done; what its action raises goes through, journalled."""
        self._work.check()
        if self._work.transactional:
            self._remark = self._prepare()
            self._row = self._remark is None
        told = self._run.begin_step(self._work.name, row=self._row, elsewhere=self._work.elsewhere)
        if told["do"] == Next.PROBE:
            told = self._probed(told)
        return self._go(told)

    def _go(self, told: Mapping[str, Any]) -> Done:
        return self._carried(told) if told["do"] == Next.CARRY else self._act(told)

    def _prepare(self) -> str | None:
        session = self._target()
        if session.hazard is Hazard.READ_ONLY:
            hint = "write hazard: changes into its front matter"
            raise BadInput(f"step {self._work.name!r} changes the target, and this runbook is read-only", hint=hint)
        return effects.prepare(session)

    def _probed(self, told: Mapping[str, Any]) -> Mapping[str, Any]:
        look, how = self._look(told)
        return self._run.step_probed(self._work.name, look.found, look.why, how, look.answer)

    def _look(self, told: Mapping[str, Any]) -> tuple[Look, str]:
        """Whether the step has had its effect: by its row where it was to leave one, else by the author's probe."""
        if told["row"]:
            return effects.look(self._target(), self._place(told)), ROW
        if self._work.probe is None:
            return Look(found=Found.UNKNOWN, why="it has no probe"), PROBE
        try:
            answered = self._work.probe()
        except Exception as error:  # whatever a probe dies of, it does not tell
            return Look(found=Found.UNKNOWN, why=f"its probe failed: {type(error).__name__}: {error}"), PROBE
        return _judged(answered), PROBE

    def _act(self, told: Mapping[str, Any]) -> Done:
        began = time.monotonic()
        try:
            answer = self._tried(told)
            proof = self._work.evidence() if self._work.evidence else answer
        except HadItsEffect as effect:
            found = effect.found
            return self._go(self._run.step_probed(self._work.name, found.found, found.why, ROW, found.answer))
        except BaseException as error:
            self._run.end_step(self._work.name, StepStatus.FAILED, {"error": f"{type(error).__name__}: {error}"})
            raise
        return self._ended(answer, proof, time.monotonic() - began)

    def _ended(self, answer: Any, proof: Any, seconds: float) -> Done:
        """What was done is done, also where what it answered cannot be kept."""
        try:
            effects.json_text([answer, proof])
        except BadInput:
            self._run.end_step(self._work.name, StepStatus.DONE, {"not JSON": repr(answer)[:1000]})
            raise
        more = {"answer": answer} if self._work.evidence else {}
        self._run.end_step(self._work.name, StepStatus.DONE, proof, **more)
        return Done(name=self._work.name, seconds=seconds, answer=answer, remark=self._remark)

    def _tried(self, told: Mapping[str, Any]) -> Any:
        for attempt in range(2, self._work.tries + 1):
            try:
                return self._once(told)
            except _NOT_TRIED_AGAIN:
                raise
            except Exception as error:
                seconds = pause_before(attempt)
                self._run.step_retry(self._work.name, attempt, f"{type(error).__name__}: {error}", seconds)
                time.sleep(seconds)
        return self._once(told)

    def _once(self, told: Mapping[str, Any]) -> Any:
        if not self._work.transactional:
            return self._work.action()
        if not self._row:
            return effects.act_without_row(self._target(), self._work.action)
        return effects.act(self._target(), self._place(told), self._work.action)

    def _place(self, told: Mapping[str, Any]) -> Place:
        run_id = self._run.introduce()["run_id"]
        return Place(chain=told["chain"], step=told["step"], run_id=run_id, redo=told.get("redo", False))

    def _carried(self, told: Mapping[str, Any]) -> Done:
        more = {"answer": told["answer"], "whole": told["whole"], "carried_from": told["from"], "how": told["how"]}
        return Done(name=self._work.name, seconds=0.0, **more)


def _judged(answered: object) -> Look:
    known = {True: Found.DONE, False: Found.NOT_DONE}
    if isinstance(answered, bool):
        return Look(found=known[answered], why=f"its probe answered {answered}")
    if answered is None:
        return Look(found=Found.UNKNOWN, why="its probe cannot tell")
    return Look(found=Found.UNKNOWN, why=f"its probe answered {answered!r:.60}, and not True, False or None")


def sentence(done: Done) -> str:
    """What a person reads of a step.

    >>> sentence(Done(name="load", seconds=0.0, carried_from="R1", how="row"))
    'load: carried from run R1, where its row in the database shows it done; not repeated.'
    """
    if done.carried_from is None:
        return f"{done.name}: done in {format_seconds(done.seconds)}."
    known = {
        "ended": "it ended",
        ROW: "its row in the database shows it done",
        PROBE: "its probe finds it done",
        "person": "a person says that it was done",
    }
    return f"{done.name}: carried from run {done.carried_from}, where {known[done.how]}; not repeated."


def kept(done: Done) -> Any:
    """The answer of a step; OpsError where it was not kept as it was."""
    if not done.whole:
        hint = "let the cells after it ask the target instead"
        raise OpsError(f"the answer of step {done.name!r} was not kept in run {done.carried_from}", hint=hint)
    return done.answer
