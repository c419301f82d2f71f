"""The supervisor's part in a step: it says whether the kernel may act, and journals every answer before it gives it."""

import shlex
from collections.abc import Callable, Mapping
from datetime import datetime
from threading import RLock
from typing import Any, Protocol

from ops_lib.archive.staging import Staging
from ops_lib.model.errors import BadInput, Refused
from ops_lib.model.ledger import canonical
from ops_lib.model.redaction import Redactor
from ops_lib.model.run import Outcome
from ops_lib.model.step import NO_PAST, Found, Next, Past, Prior, Settled, on_begin, on_probe, steps_of
from ops_lib.operations.allowance import LONGEST_TOLD, Allowance

LONGEST_NAME = 200
HIDDEN = "[hidden:"


class Scribe(Protocol):
    """Who holds the journal."""

    staging: Staging
    redactor: Redactor
    stopped_as: Outcome | None
    turn: RLock
    allowance: Allowance

    def write(self, event: Mapping[str, Any], *, durable: bool = False) -> None: ...


class Steps:
    """The steps of one run while it goes on; `past` is what it goes on from."""

    def __init__(self, scribe: Scribe, clock: Callable[[], datetime], require: Callable[[str], None]) -> None:
        self.past: Past = NO_PAST
        self._scribe = scribe
        self._clock = clock
        self._require = require
        self._open: dict[str, tuple[str, float, bool]] = {}
        self._named: set[str] = set()
        self._elsewhere: set[str] = set()

    @property
    def answers(self) -> Mapping[str, Callable[..., Any]]:
        return {
            "step-begin": self.begin,
            "step-probed": self.probed,
            "step-retry": self.retry,
            "step-end": self.end,
        }

    @property
    def acting(self) -> list[str]:
        """The steps that act at this moment, as the journal names them."""
        return [stored for stored, began, _ in self._open.values() if began]

    @property
    def chain(self) -> str:
        """The name under which the rows of this run's steps are found, however often it is resumed."""
        return self.past.chain[0] if self.past.chain else self._scribe.staging.run_id

    def begin(self, name: str, *, row: bool = False, elsewhere: bool = False) -> dict[str, Any]:
        """What the kernel shall do with a step: act, carry what is known, or probe first.

        One that acts `elsewhere` leaves the target as it is, and needs nobody's yes.
        """
        with self._scribe.turn:
            stored = self._name(name)
            if stored in self._named:
                raise BadInput(f"step {name!r} was begun before in this run", hint="give each step a name of its own")
            self._named.add(stored)
            if elsewhere:
                self._elsewhere.add(name)
            prior = self.past.steps.get(stored)
            match on_begin(prior):
                case Next.ACT:
                    return self._begin(name, stored, row=row)
                case Next.CARRY if prior:
                    return self._carry(prior, "ended")
            assert prior is not None
            self._open[name] = (stored, 0.0, row)
            return {"do": Next.PROBE.value, "step": stored, "chain": self.chain, "row": prior.row}

    def probed(self, name: str, found: str, why: str, how: str, answer: Any = None) -> dict[str, Any]:
        """What the kernel shall do with a step whose effect was looked for."""
        with self._scribe.turn:
            stored, _, row = self._open.pop(name)
            prior = self.past.steps.get(stored) or self._own(stored)
            settled = self.past.settled.get(stored)
            event = self._clean({"kind": "step-probed", "name": stored, "found": found, "how": how, "why": why})
            self._scribe.write(event, durable=True)
            match on_probe(Found(found), settled):
                case Next.ACT:
                    return self._begin(name, stored, row=row, redo=found == Found.UNKNOWN)
                case Next.CARRY if found == Found.DONE:
                    return self._carry(prior, how, answer)
                case Next.CARRY:
                    return self._carry(prior, "person")
            raise self._question(stored, event["why"])

    def retry(self, name: str, attempt: int, error: str, seconds: float) -> None:
        """A step says that it may be tried again, and that it will."""
        with self._scribe.turn:
            if self._scribe.stopped_as:
                raise Refused(f"step {name!r} is not tried again: the run is being stopped")
            if name not in self._elsewhere:
                self._require(name)
            event = {"kind": "step-retried", "name": self._open[name][0], "attempt": attempt, "error": error}
            self._scribe.write(self._clean({**event, "seconds": seconds}), durable=True)

    def end(self, name: str, status: str, evidence: Any, answer: Any = None, *, own_answer: bool = False) -> None:
        """A step ended; where its evidence is something else than its answer, both are kept."""
        with self._scribe.turn:
            stored, began, _ = self._open.pop(name)
            told = {"answer": answer} if own_answer else {}
            kept = {key: self._kept(value) for key, value in {"evidence": evidence, **told}.items()}
            whole = kept.get("answer", kept["evidence"]) == (answer if own_answer else evidence)
            seconds = round(self._clock().timestamp() - began, 4)
            event = {"kind": "step-ended", "name": stored, "status": status, "seconds": seconds, **kept}
            self._scribe.write({**event, **({} if whole else {"whole": False})}, durable=True)

    def _begin(self, name: str, stored: str, *, row: bool, redo: bool = False) -> dict[str, Any]:
        """Journal the beginning of a step durably; only then may the kernel act."""
        if self._scribe.stopped_as:
            raise Refused(f"step {name!r} was not begun: the run is being stopped")
        if name not in self._elsewhere:
            self._require(name)
        self._open[name] = (stored, self._clock().timestamp(), row)
        self._scribe.write({"kind": "step-began", "name": stored, "row": row}, durable=True)
        return {"do": Next.ACT.value, "step": stored, "chain": self.chain, "redo": redo}

    def _carry(self, prior: Prior, how: str, answer: Any = None) -> dict[str, Any]:
        """Journal that a step is not done again, and how it is known that it was done."""
        known = how == "ended"
        evidence = prior.evidence if known else self._kept({"found": "done", "how": how})
        carried = prior.answer if known else self._kept(answer)
        whole = prior.whole if known else how != "person" and carried == answer
        told = {"answer": carried, "evidence": evidence, "whole": whole and HIDDEN not in canonical(carried).decode()}
        event = {"kind": "step-carried", "name": prior.name, "from": prior.run_id, "how": how}
        self._scribe.write({**event, **told}, durable=True)
        return {"do": Next.CARRY.value, "from": prior.run_id, "how": how, **told}

    def _own(self, stored: str) -> Prior:
        """A step of this very run whose effect was there already when it came to act."""
        run_id = self._scribe.staging.run_id
        return steps_of(self._scribe.staging.events, run_id)[stored]

    def _question(self, stored: str, why: str) -> Refused:
        """What a person is asked where nobody else can tell, with what to type."""
        answers = (shlex.quote(f"{stored}={word}") for word in Settled)
        commands = " or ".join(f"runbook resume {self._scribe.staging.run_id} --step {answer}" for answer in answers)
        return Refused(
            f"step {stored!r} began before and whether it took effect cannot be told ({why})",
            hint=f"look at the target yourself, then type: {commands}",
        )

    def _name(self, name: str) -> str:
        if len(name) > LONGEST_NAME:
            raise BadInput(f"the name of a step has {len(name)} letters", hint=f"{LONGEST_NAME} at the most are taken")
        return str(self._scribe.redactor.json(name))

    def _clean(self, event: Mapping[str, Any]) -> dict[str, Any]:
        told = {key: self._scribe.redactor.json(event[key]) for key in ("why", "error") if key in event}
        return {**event, **told}

    def _kept(self, told: Any) -> Any:
        """What a step has told, without secrets, or where it is too long its beginning and end."""
        clean = self._scribe.redactor.json(told)
        text = canonical(clean).decode()
        kept = self._scribe.allowance.tell(text)
        if kept is None:
            return {"cut": f"{len(text)} characters of evidence were not kept"}
        return clean if len(text) <= LONGEST_TOLD else {"cut": kept}
