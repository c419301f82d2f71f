"""The journal of a run: what happened, in order, each line with a checksum.

The journal is written while the run goes on and is the one source of everything that its record says. Reading stops
at the first line that is torn, which a killed writer leaves at the end.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ops_lib.model.ledger import canonical, sha256

Event = Mapping[str, Any]


def line_of(event: Event) -> bytes:
    """An event as a line of the journal, with its newline.

    >>> line_of({"kind": "note", "text": "hello"})
    b'{"kind":"note","sum":"08c1be1e8ee6b23e","text":"hello"}\\n'
    """
    return canonical({**event, "sum": _sum(event)}) + b"\n"


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


def _sum(event: Event) -> str:
    return sha256(canonical(event))[:16]
