"""Hiding secrets in what a run stores: events of its journal, its notebook, its attachments.

What a machine made and a machine reads back (ids, times, digests, statuses) is left alone; whatever a person or a
program may have written is cleaned.
"""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ops_lib.archive.staging import ATTACHMENTS, Staging
from ops_lib.model.errors import BadInput
from ops_lib.model.journal import Event
from ops_lib.model.ledger import sha256
from ops_lib.model.redaction import Redactor
from ops_lib.model.result import MIME_TYPE, Result

NOTEBOOK = "notebook.ipynb"
LARGEST_UNPACKED = 32 << 20
_GZIP = b"\x1f\x8b"
# fmt: off
_MACHINE = frozenset((
    "kind", "at", "run_id", "software", "owner", "application_name", "given", "cell", "id", "status", "seconds",
    "bytes", "sha256", "type", "outcome", "hidden", "hazard", "commit", "system_identifier", "server_version",
    "guard",
))
# fmt: on
_HALF_MACHINE = frozenset({"runbook", "cause", "target", "cells", "error"})


def hide_event(redactor: Redactor, event: Event) -> dict[str, Any]:
    """An event without secrets."""
    return {key: value if key in _MACHINE else _hide_field(redactor, key, value) for key, value in event.items()}


def _hide_field(redactor: Redactor, key: str, value: Any) -> Any:
    if key in _HALF_MACHINE and isinstance(value, list):
        return [_hide_field(redactor, key, item) for item in value]
    if key in _HALF_MACHINE and isinstance(value, Mapping):
        return {name: item if name in _MACHINE - {"owner"} else redactor.json(item) for name, item in value.items()}
    return hide_content(redactor, value) if key == "content" else redactor.json(value)


def hide_content(redactor: Redactor, content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of an output without secrets; what it says in several texts that are one is looked at as one."""
    try:
        hidden: dict[str, Any] = redactor.json(_whole_texts(content))
    except RecursionError:
        hidden = {"data": {"text/plain": "[an output that is nested too deeply is not kept]"}, "metadata": {}}
    if isinstance(hidden.get("data"), dict) and MIME_TYPE in hidden["data"]:
        hidden["data"] = _only_whole_results(hidden["data"])
    return hidden


def _whole_texts(content: Mapping[str, Any]) -> dict[str, Any]:
    """The multi-line form of a notebook's texts joined to one text each."""
    data = content.get("data")
    if isinstance(content.get("text"), list):
        return {**content, "text": "".join(map(str, content["text"]))}
    if not isinstance(data, Mapping):
        return dict(content)
    return {**content, "data": {mime: _joined(value) for mime, value in data.items()}}


def _joined(value: Any) -> Any:
    return "".join(value) if isinstance(value, list) and value and all(isinstance(x, str) for x in value) else value


def _only_whole_results(data: dict[str, Any]) -> dict[str, Any]:
    """An output without a result of ours that cannot be read back: it would keep the run from being sealed."""
    try:
        Result.from_json(data[MIME_TYPE])
    except (KeyError, TypeError, ValueError, AttributeError):
        return {mime: value for mime, value in data.items() if mime != MIME_TYPE}
    return data


def hide_notebook(redactor: Redactor, notebook: Mapping[str, Any]) -> dict[str, Any]:
    """A notebook without secrets; the ids of its cells stay what the journal calls them."""
    cells = [
        {name: item if name in ("id", "cell_type") else redactor.json(_joined(item)) for name, item in cell.items()}
        for cell in notebook["cells"]
    ]
    rest = {name: redactor.json(value) for name, value in notebook.items() if name != "cells"}
    return {**rest, "cells": cells}


def hide_file(redactor: Redactor, raw: bytes) -> bytes:
    """A file without secrets, whatever it is named; one that is packed with gzip is unpacked for it."""
    if not raw.startswith(_GZIP):
        return redactor.bytes(raw)
    unpacked = _unpacked(raw)
    hidden = hide_file(redactor, unpacked)
    return raw if hidden == unpacked else gzip.compress(hidden, compresslevel=6, mtime=0)


def _unpacked(raw: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    found = b""
    try:
        while raw and len(found) <= LARGEST_UNPACKED:
            found += unpacker.decompress(raw, LARGEST_UNPACKED + 1 - len(found))
            raw = unpacker.unconsumed_tail or unpacker.unused_data
            if unpacker.eof:
                unpacker = zlib.decompressobj(wbits=31)
    except zlib.error as error:
        raise BadInput(f"an attachment looks packed and cannot be unpacked: {error}") from None
    if len(found) > LARGEST_UNPACKED:
        limit = f"{LARGEST_UNPACKED >> 20} MB"
        raise BadInput(f"an attachment unpacks to more than {limit}", hint="what cannot be searched is not kept")
    return found


def hide_again(redactor: Redactor, staging: Staging) -> None:
    """Look over everything that a run has staged, for secrets that became known after they were stored."""
    before = Counter(redactor.hidden)
    packed = {path.name: _hide_attachment(redactor, staging, path.name) for path in _attachments(staging)}
    notebook = json.loads(staging.read(NOTEBOOK))
    if (hidden := hide_notebook(redactor, notebook)) != notebook:
        staging.write(NOTEBOOK, json.dumps(hidden).encode())
    events = [_hide_counting(redactor, event, packed) for event in staging.events]
    found = redactor.hidden - before
    if found or events != staging.events:
        events[0] = {**events[0], "hidden": dict(Counter(events[0].get("hidden", {})) + found)}
        staging.rewrite(events)


def _hide_counting(redactor: Redactor, event: Event, packed: Mapping[str, bytes]) -> dict[str, Any]:
    hidden = hide_event(redactor, event)
    if event["kind"] == "attachment" and event["name"] in packed:
        kept = packed[event["name"]]
        return {**hidden, "bytes": len(kept), "sha256": sha256(kept)}
    return hidden


def _attachments(staging: Staging) -> list[Any]:
    return [path for path in staging.contents() if path.parts[0] == ATTACHMENTS]


def _hide_attachment(redactor: Redactor, staging: Staging, name: str) -> bytes:
    raw = kept = staging.read(f"{ATTACHMENTS}/{name}")
    with suppress(BadInput):  # a run is sealed whatever it has attached
        kept = hide_file(redactor, raw)
    if kept != raw:
        staging.attach(name, kept)
    return kept
