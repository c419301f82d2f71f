"""The complete population of runs, as a fold over the ledger: nothing that was begun is left out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ops_lib.model.ledger import Entry, EntryKind
from ops_lib.model.tombstone import Action

COLUMNS = (
    "run_id", "runbook", "title", "hazard", "runbook_sha256", "runbook_commit", "author", "author_known_by",
    "cause", "requester", "requester_known_by", "approver", "approver_known_by", "approved_digest", "ticket", "reason",
    "target", "asked_at", "started_at", "ended_at", "outcome", "emergency", "emergency_reviewed_by",
    "emergency_reviewed_at", "record", "intent_entry", "result_entry",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Undertaking:
    """A run as the ledger knows it: what was intended, what came of it, and what was done about its record since."""

    intent: Entry
    result: Entry | None
    tombstones: tuple[Entry, ...]
    reviews: tuple[Entry, ...] = ()

    @property
    def run_id(self) -> str:
        return str(self.intent.run_id)

    def state(self) -> str:
        """What there is of its record."""
        if self.result is None:
            return "not sealed"
        actions = {entry.body["action"] for entry in self.tombstones}
        return "pruned" if Action.PRUNE in actions else "redacted" if actions else "kept"

    def row(self, author: tuple[str, str]) -> dict[str, Any]:
        """The run as an auditor asks for it. `author` is of the runbook, with how that is known."""
        body, cause = self.intent.body, self.intent.body.get("cause") or {}
        runbook, done = body.get("runbook") or {}, self.result.body if self.result else {}
        approvals = done.get("approvals") or []
        emergency = [approval for approval in approvals if approval.get("kind") == "break-glass"]
        return {
            "run_id": self.run_id, "runbook": runbook.get("id"), "title": runbook.get("title"),
            "hazard": runbook.get("hazard"), "runbook_sha256": runbook.get("sha256"),
            "runbook_commit": runbook.get("commit"), "author": author[0], "author_known_by": author[1],
            "cause": cause.get("kind"), "requester": cause.get("who"), "requester_known_by": cause.get("how_known"),
            "approver": _each(approvals, "who"), "approver_known_by": _each(approvals, "how_known"),
            "approved_digest": _each(approvals, "digest"), "ticket": body.get("ticket"), "reason": body.get("reason"),
            "target": (body.get("target") or {}).get("name"), "asked_at": self.intent.at,
            "started_at": done.get("started_at"), "ended_at": done.get("ended_at"), "outcome": done.get("outcome"),
            "emergency": "yes" if emergency else "no",
            "emergency_reviewed_by": "; ".join(review.who for review in self.reviews),
            "emergency_reviewed_at": "; ".join(review.at for review in self.reviews), "record": self.state(),
            "intent_entry": self.intent.seq, "result_entry": self.result.seq if self.result else None,
        }  # fmt: skip


def population(entries: Iterable[Entry]) -> list[Undertaking]:
    """Every run that the ledger knows, in the order in which they were asked for."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.run_id is not None:
            found.setdefault(entry.run_id, []).append(entry)
    return [_undertaking(of_run) for of_run in found.values()]


def _undertaking(entries: list[Entry]) -> Undertaking:
    result = next((entry for entry in entries if entry.kind == EntryKind.RESULT), None)
    tombstones = tuple(entry for entry in entries if entry.kind == EntryKind.TOMBSTONE)
    reviews = tuple(entry for entry in entries if entry.kind == EntryKind.REVIEW)
    return Undertaking(intent=entries[0], result=result, tombstones=tombstones, reviews=reviews)


def _each(items: Iterable[Mapping[str, Any]], name: str) -> str:
    return "; ".join(str(item[name]) for item in items if item.get(name))
