"""Redacting: what leaked into a record all the same is purged from its files, and a tombstone says so."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

from ops_lib.archive.amendments import Amendments
from ops_lib.archive.evidence import read_proof
from ops_lib.archive.files import explained_below
from ops_lib.archive.indexing import consult
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import RECORD, Records
from ops_lib.archive.staging import JOURNAL
from ops_lib.archive.verification import verify_run
from ops_lib.model.errors import BadInput, DoesNotVerify, IndexUnavailable
from ops_lib.model.journal import line_of, read_events
from ops_lib.model.ledger import sha256
from ops_lib.model.redaction import Redactor
from ops_lib.model.tombstone import expected_files
from ops_lib.operations.desk import Desk
from ops_lib.operations.hiding import hide_event, hide_file, hide_notebook
from ops_lib.operations.publish import publish_head

NOTEBOOK = "notebook.ipynb"


def redact(
    desk: Desk, run: str, *, reason: str, paths: Sequence[str] = (), secrets: Sequence[str] = ()
) -> tuple[str, tuple[str, ...]]:
    """Purge whole files of a record, and secrets from all of them; the run and the files that are different now.

    A record that does not verify is left as it is: a tombstone must not cover up what somebody else changed.
    """
    with explained_below(desk.archive):
        return _redact(desk, run, reason, paths, secrets)


def _redact(
    desk: Desk, run: str, reason: str, paths: Sequence[str], secrets: Sequence[str]
) -> tuple[str, tuple[str, ...]]:
    folder = Records(desk.archive).find(run)
    redactor = _redactor(secrets)
    said = redactor.text(reason)

    def make() -> Mapping[str, bytes]:
        _require_whole(desk, folder)
        contents = _purged(folder, paths, redactor, said)
        if not contents:
            raise BadInput(f"run {folder.name} holds nothing of that", hint="name a file of it with --file PATH")
        return contents

    changed = Amendments(desk.archive, desk.keys).replace(folder.name, make, reason=said, at=desk.clock(), who=desk.who)
    with suppress(IndexUnavailable):  # the index is a cache that held the text too, and purges it as it catches up
        consult(desk.archive, lambda _: None)
    publish_head(desk)
    _tell_of_ledger(desk, folder.name, redactor)
    return folder.name, tuple(changed)


def _require_whole(desk: Desk, folder: Path) -> None:
    faults = verify_run(desk.archive, folder).faults
    if faults:
        hint = "find out why before it is redacted"
        raise DoesNotVerify(f"run {folder.name} does not verify: {faults[0]}", hint=hint)


def _redactor(secrets: Sequence[str]) -> Redactor:
    redactor = Redactor()
    for secret in secrets:
        redactor.register(secret)
        redactor.register(escape(secret))
    return redactor


def _purged(folder: Path, paths: Sequence[str], redactor: Redactor, reason: str) -> dict[str, bytes]:
    """The new contents of the files that change, record.json among them where it names the others."""
    try:
        proof = read_proof(folder)
    except ValueError as error:
        raise DoesNotVerify(f"the proof of run {folder.name} {error}", hint="see `runbook verify`") from None
    known = expected_files(proof.entries[0], proof.entries[1:])
    for path in paths:
        if path not in known or path == RECORD:
            hint = f"use --text, since {RECORD} is what finds the run" if path == RECORD else f"has {', '.join(known)}"
            raise BadInput(f"{path} cannot be taken out of run {folder.name}", hint=hint)
    before = {path: (folder / path).read_bytes() for path in known}
    after = {path: _placeholder(path, reason) if path in paths else raw for path, raw in before.items()}
    if redactor.knows_any:
        after = {path: _hidden(path, raw, redactor) for path, raw in after.items()}
    changed = {path: raw for path, raw in after.items() if raw != before[path]}
    return {**changed, RECORD: _described_anew(after[RECORD], changed)} if changed else {}


def _hidden(path: str, raw: bytes, redactor: Redactor) -> bytes:
    """A file without the secrets, in the form that its readers expect."""
    if path == RECORD:
        record = json.loads(raw)
        hidden = {**redactor.json(record), "files": record["files"], "run_id": record["run_id"]}
        return raw if hidden == record else _dumped(hidden)
    if path == NOTEBOOK:
        notebook = json.loads(raw)
        hidden = hide_notebook(redactor, notebook)
        return raw if hidden == notebook else _dumped(hidden) + b"\n"
    if path == JOURNAL:
        return b"".join(line_of(hide_event(redactor, event)) for event in read_events(raw.splitlines(keepends=True)))
    return hide_file(redactor, raw)


def _described_anew(record: bytes, changed: Mapping[str, bytes]) -> bytes:
    """record.json with the digests that its files have now."""
    content: dict[str, Any] = json.loads(record)
    for item in content["files"]:
        if item["path"] in changed:
            raw = changed[item["path"]]
            item.update(sha256=sha256(raw), bytes=len(raw))
    return _dumped(content)


def _dumped(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False).encode()


def _placeholder(path: str, reason: str) -> bytes:
    """What stands in place of a file that was taken out whole."""
    text = f"This file was taken out of the record: {reason}"
    if path == NOTEBOOK:
        cell = {"cell_type": "markdown", "id": "redacted", "metadata": {}, "source": text}
        return _dumped({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}) + b"\n"
    if path == JOURNAL:
        return line_of({"kind": "redacted", "reason": reason})
    if path.endswith(".html"):
        return f"<!doctype html><meta charset=utf-8><title>Redacted</title><p>{escape(text)}</p>\n".encode()
    return f"{text}\n".encode()


def _tell_of_ledger(desk: Desk, run_id: str, redactor: Redactor) -> None:
    """The ledger is never rewritten: what leaked into what a person gave as reason or parameter stays there."""
    leaked = [
        entry.seq for entry in Ledger(desk.archive).all_of_run(run_id)
        if redactor.knows_any and redactor.json(entry.body) != entry.body
    ]  # fmt: skip
    if leaked:
        numbers = ", ".join(map(str, leaked))
        desk.warn(f"entry {numbers} of the ledger holds it too and is never rewritten: change that secret now")
