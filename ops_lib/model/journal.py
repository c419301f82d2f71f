"""The journal of a run: what happened, in order, each line with a checksum.

The journal is written while the run goes on and is the one source of everything that its record says. Reading stops
at the first line that is torn, which a killed writer leaves at the end.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ops_lib.model.ledger import canonical, sha256

Event = Mapping[str, Any]


def line_of(event: Event) -> bytes:
    """An event as a line of the journal, with its newline.

    >>> line_of({"kind": "note", "text": "hello"})
    b'{"kind":"note","sum":"08c1be1e8ee6b23e","text":"hello"}\\n'
    """
    parts = {name: canonical(name) + b":" + canonical(value) for name, value in event.items()}
    parts["sum"] = b'"sum":"%s"' % sha256(_object(parts))[:16].encode()
    return _object(parts) + b"\n"


def _object(parts: Mapping[str, bytes]) -> bytes:
    """What `canonical` makes of a whole, from its parts: a large one is only written once."""
    return b"{" + b",".join(parts[name] for name in sorted(parts)) + b"}"


def read_events(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The events of a journal up to the first line that is not whole.

    >>> list(read_events([line_of({"kind": "note"}), b'{"kind":"no']))
    [{'kind': 'note'}]
    """
    for line in lines:
        try:
            event = json.loads(line)
            stated = event.pop("sum")
        except (ValueError, KeyError, AttributeError, TypeError):
            return
        if not line.endswith(b"\n") or stated != _sum(event):
            return
        yield event


_GOING = ("waiting", "continued", "approved")


def waits(events: Sequence[Event]) -> bool:
    """Whether a run waits for an approval: it said so, and neither went on since nor got it where it stood.

    >>> waits([{"kind": "opened"}, {"kind": "waiting"}]), waits([{"kind": "waiting"}, {"kind": "continued"}])
    (True, False)
    """
    last = next((event["kind"] for event in reversed(events) if event["kind"] in _GOING), None)
    return last == "waiting" and events[-1]["kind"] != "ended"


def last_pass(events: Sequence[Event]) -> Sequence[Event]:
    """The events of a run without what its cells did before it waited and began again from the top."""
    place = max((at for at, event in enumerate(events) if event["kind"] == "continued"), default=0)
    before = [event for event in events[:place] if event["kind"] not in _OF_CELLS]
    return [*before, *events[place:]] if place else events


_OF_CELLS = frozenset({"planned", "cell-began", "cell-ended", "output"})


def _sum(event: Event) -> str:
    return sha256(canonical(event))[:16]
