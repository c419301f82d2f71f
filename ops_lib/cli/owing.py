"""What somebody sees of handoffs: which are owed since when, and what became of the others."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ops_lib.model.verdict import plain

if TYPE_CHECKING:
    from ops_lib.archive.handoffs import Standing
    from ops_lib.operations.acknowledge import Found

COLUMNS = ("owed since (UTC)", "handoff", "trigger", "owed by", "to", "made in", "state")


def rows(found: Iterable["Standing"]) -> list[tuple[str, ...]]:
    """One line a handoff: its recipient owes an acknowledgement to its sender."""
    return [
        (item.since[:19].replace("T", " "), item.id, plain(item.trigger), plain(item.recipient), plain(item.sender),
         item.run_id or f"(brought in by {plain(item.who)})", state(item))
        for item in found
    ]  # fmt: skip


def state(item: "Standing") -> str:
    """How a handoff stands, in a few words."""
    if item.closed is None:
        return "owed"
    text = item.closed.body.get("text")
    told = f": {plain(text)}" if text else ""
    return f"{item.state} by {plain(item.closed.who)} at {item.closed.at[:19].replace('T', ' ')}{told}"


def facts(found: "Found") -> Iterator[str]:
    """A handoff with its message, which is YAML."""
    item = found.standing
    made = f"run {item.run_id}" if item.run_id else f"{plain(item.who)} brought it in"
    told = {
        "handoff": f"{item.id} from {plain(item.sender)} to {plain(item.recipient)}",
        "owed since": f"{item.since}, {made}",
        "reason": plain(item.reason) if item.reason else None,
        "state": state(item),
    }
    yield from (f"{name:>10}  {value}" for name, value in told.items() if value)
    if found.message is None:
        yield "\nits message went with the record of its run, which was pruned"
    else:
        yield from ["\n(redacted since it was handed off)"] if found.redacted else [""]
        yield message(found.message)


def message(content: Mapping[str, Any]) -> str:
    """A message as YAML, which escapes whatever would move a cursor."""
    from ops_lib.notebooks.handoff_yaml import handoff_yaml  # noqa: PLC0415

    return handoff_yaml(content).rstrip("\n")


def of_record(record: Mapping[str, Any], standing: Sequence["Standing"] = ()) -> Iterator[str]:
    """The handoffs of a run; without a look into the ledger they are what they were when it was sealed."""
    states = {item.id: state(item) for item in standing}
    for handoff in record["handoffs"]:
        told = states.get(handoff["id"], "owed until acknowledged")
        yield f"handoff {handoff['id']}  {plain(handoff['trigger'])} to {plain(handoff['to'])}: {told}"
