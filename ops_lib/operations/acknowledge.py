"""Handoffs from the side of those who get them: seen, acknowledged, rejected; and brought in where no run made them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops_lib.archive import files
from ops_lib.archive.handoffs import Standing, handoffs
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import Records
from ops_lib.model import ulid
from ops_lib.model.errors import BadInput, DoesNotVerify, Refused
from ops_lib.model.handoff import Handoff, digest, handoff_id
from ops_lib.model.ledger import EntryKind
from ops_lib.operations.desk import Desk
from ops_lib.operations.known import redactor_for

SHORTEST_END = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A handoff with its message; without one where its record was pruned. `redacted` is whether it says less now."""

    standing: Standing
    message: Mapping[str, Any] | None
    redacted: bool = False


def all_handoffs(desk: Desk, *, closed: bool) -> list[Standing]:
    """The handoffs that are owed, the oldest first; with `closed` the others too."""
    return [standing for standing in _all(desk).values() if closed or standing.owed]


def of_record(desk: Desk, record: Mapping[str, Any]) -> list[Standing]:
    """How the handoffs of a run stand now."""
    known = _all(desk) if record["handoffs"] else {}
    return [known[handoff["id"]] for handoff in record["handoffs"] if handoff["id"] in known]


def _all(desk: Desk) -> dict[str, Standing]:
    return handoffs(Ledger(desk.archive, desk.keys))


def find(desk: Desk, text: str) -> Found:
    """The handoff that a text names, by its id or the end of one. DoesNotVerify where its message is another one."""
    standing = _standing(desk, text)
    message = standing.message if standing.run_id is None else _recorded(desk, standing.run_id, standing.id)
    changed = message is not None and digest(message) != standing.sha256
    if changed and not (standing.run_id and _redacted(desk, standing.run_id)):
        hint = f"see: runbook verify {standing.run_id or ''}".strip()
        raise DoesNotVerify(f"handoff {standing.id} does not say what was handed off", hint=hint)
    return Found(standing=standing, message=message, redacted=changed)


def _standing(desk: Desk, text: str) -> Standing:
    wanted = text.upper()
    found = [item for item in _all(desk).values() if len(wanted) >= SHORTEST_END and item.id.endswith(wanted)]
    if len(found) != 1:
        which = "several handoffs end" if found else "no handoff ends"
        raise BadInput(f"{which} in {text!r}", hint="see: runbook handoff list --all")
    return found[0]


def _recorded(desk: Desk, run_id: str, name: str) -> Mapping[str, Any] | None:
    records = Records(desk.archive)
    folder = records.folder_of(run_id)
    if not folder.is_dir():
        folder = desk.archive / "staging" / run_id  # sealed, and not in its place yet
    if not folder.is_dir():
        return None
    made: list[Mapping[str, Any]] = records.read(folder)["handoffs"]
    return next((handoff["message"] for handoff in made if handoff["id"] == name), {})


def _redacted(desk: Desk, run_id: str) -> bool:
    entries = Ledger(desk.archive, desk.keys).all_of_run(run_id)
    return any(entry.kind == EntryKind.TOMBSTONE for entry in entries)


def acknowledge(desk: Desk, text: str, note: str | None = None) -> Standing:
    """Enter into the ledger that a handoff has arrived; Refused where somebody has closed it before."""
    return _close(desk, text, EntryKind.ACKNOWLEDGEMENT, note)


def reject(desk: Desk, text: str, reason: str) -> Standing:
    """Enter into the ledger that a handoff is not taken, and why; Refused where somebody has closed it before."""
    return _close(desk, text, EntryKind.REJECTION, reason)


def _close(desk: Desk, text: str, kind: EntryKind, said: str | None) -> Standing:
    standing = _standing(desk, text)

    def gate() -> None:
        """Asked while nobody else can close it."""
        if not (now := _all(desk)[standing.id]).owed:
            raise _closed(now)

    told = redactor_for(desk, None).json({"text": said})
    body = {"id": standing.id, "sha256": standing.sha256, "how_known": desk.how_known, **told}
    ledger = Ledger(desk.archive, desk.keys)
    ledger.append(kind, at=desk.clock(), who=desk.who, run_id=standing.run_id, body=body, gate=gate)
    return _all(desk)[standing.id]


def _closed(standing: Standing) -> Refused:
    assert standing.closed
    text = standing.closed.body.get("text")
    told = f"{standing.state} by {standing.closed.who} at {standing.closed.at}{f': {text}' if text else ''}"
    return Refused(f"handoff {standing.id} was {told}", hint="it is owed no more")


def send(desk: Desk, handoff: Handoff, *, to: str | None = None, reason: str | None = None) -> Standing:
    """Enter a handoff into the ledger that another team wrote; it is owed from now on, and stands there whole."""
    redactor = redactor_for(desk, None)
    said = handoff.addressed(None, to).to_json()
    message = redactor.json(said)
    names = {name: redactor.text(said[name]) for name in ("trigger", "from", "to")}
    name = handoff_id(ulid.make(desk.clock(), desk.randomness(10)), names["trigger"], names["to"], 0)
    body = {"id": name, **names, "sha256": digest(message), "message": message, **redactor.json({"reason": reason})}
    body["how_known"] = desk.how_known
    files.make_folder(desk.archive)
    Ledger(desk.archive, desk.keys).append(EntryKind.HANDOFF, at=desk.clock(), who=desk.who, body=body)
    return _all(desk)[name]


def read_file(path: Path) -> Handoff:
    """The handoff in a file; BadInput names file, line and field."""
    from ops_lib.notebooks.handoff_yaml import parse_handoff  # noqa: PLC0415

    try:
        return parse_handoff(path.read_text(encoding="utf-8"), name=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
