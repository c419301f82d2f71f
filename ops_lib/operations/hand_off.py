"""Handing off from a cell: what the kernel reads, what its supervisor journals, and what the cell shows."""

from collections.abc import Callable, Mapping
from typing import Any

from ops_lib.model.errors import BadInput
from ops_lib.model.handoff import digest, handoff_id, read_handoff
from ops_lib.model.result import Result, Table
from ops_lib.model.step import NO_PAST, Past
from ops_lib.operations.steps import Scribe

MOST_HANDOFFS = 100


def read(message: Mapping[str, Any] | str, to: str | None) -> dict[str, Any]:
    """The message that a cell gives, as a mapping or as YAML, in its canonical form; BadInput where it is none."""
    if isinstance(message, str):
        from ops_lib.notebooks.handoff_yaml import parse_handoff  # noqa: PLC0415

        told = parse_handoff(message).to_json()
    else:
        told = read_handoff(message).to_json()
    return {**told, "to": to} if to else told


class Handoffs:
    """The handoffs of one run while it goes on; `past` is what it goes on from.

    One that an earlier run of the chain has made, or this run before it waited, is not made again, and neither is one
    that a cell says once more: what was handed off first stands.
    """

    def __init__(self, scribe: Scribe) -> None:
        self.past: Past = NO_PAST
        self._scribe = scribe
        self._made: dict[str, Mapping[str, Any]] = {}  # by the digest of what a cell has said

    @property
    def answers(self) -> Mapping[str, Callable[..., Any]]:
        return {"handoff": self.make}

    def make(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Journal a handoff, or find that it is made; its id, the run that made it, and what was said then."""
        with self._scribe.turn:
            told = self._told(message)
            asked = digest(told["message"])
            if asked not in self._made:
                self._check_room()
                self._made[asked] = self._before(told) or {**told, "made_in": self._scribe.staging.run_id}
                self._keep(self._made[asked])
            event = self._made[asked]
            return {**event, "differs": event["message"] != told["message"]}

    def _told(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """A handoff between teams that are known, without secrets, and its id."""
        said = read_handoff(message).addressed(self._scribe.staging.events[0]["runbook"]["owner"]).to_json()
        clean = self._scribe.redactor
        told = {**{name: clean.text(said[name]) for name in ("trigger", "from", "to")}, "message": clean.json(said)}
        return {"id": self._id(told["trigger"], told["to"]), **told}

    def _id(self, trigger: str, to: str) -> str:
        alike = [event for event in self._made.values() if (event["trigger"], event["to"]) == (trigger, to)]
        origin = self.past.chain[0] if self.past.chain else self._scribe.staging.run_id
        return handoff_id(origin, trigger, to, len(alike))

    def _before(self, told: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The handoff that was made at this place before this pass."""
        event = self.past.handoffs.get(told["id"])
        return {name: event[name] for name in (*told, "made_in")} if event else None

    def _check_room(self) -> None:
        if len(self._made) == MOST_HANDOFFS:
            raise BadInput(f"more than {MOST_HANDOFFS} handoffs in one run", hint="put what belongs together into one")

    def _keep(self, event: Mapping[str, Any]) -> None:
        journalled = (e for e in self._scribe.staging.events if e["kind"] == "handoff")
        if all(earlier["id"] != event["id"] for earlier in journalled):
            self._scribe.write({"kind": "handoff", **event}, durable=True)


def shown(told: Mapping[str, Any], run_id: str) -> Result:
    """A handoff for the reader of a cell."""
    earlier = "" if told["made_in"] == run_id else f" It was made in run {told['made_in']}, and is not made again."
    message = told["message"]
    rest = [(name, value) for name, value in message.items() if name not in ("trigger", "to", "context")]
    return Result(
        title=f"Handoff to {told['to']}",
        verdict=f"{told['trigger']} goes to {told['to']}, and is owed until it is acknowledged.{earlier}",
        table=Table.of(("what", "says"), [*message.get("context", {}).items(), *rest]),
        notes=("it would say something else now; what was handed off stands",) if told["differs"] else (),
        next_step=f"Once this run is sealed: runbook handoff ack {told['id']}",
    )
