"""A small archive of sealed runs, made without kernels."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops_lib.archive.keys import Keys
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import Records
from ops_lib.archive.staging import Staging
from ops_lib.model import ulid
from ops_lib.model.ledger import EntryKind

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Signing keys in a configuration folder of their own, outside the archive."""
    return Keys(tmp_path_factory.mktemp("configuration") / "ops-runbooks")


@pytest.fixture
def seal_run(tmp_path: Path, keys: Keys) -> Callable[[int], Path]:
    """Seals run number N of the archive in tmp_path, and answers with its folder."""

    def seal(number: int) -> Path:
        at = AT + timedelta(hours=number)
        staging = Staging.create(tmp_path, ulid.make(at, bytes([number] * 10)))
        staging.append({"kind": "opened", "at": "2026-01-01T00:00:00.000Z"}, durable=True)
        Ledger(tmp_path, keys).append(EntryKind.INTENT, at=at, who="ana", run_id=staging.run_id, body={"n": number})
        staging.write("notebook.ipynb", b'{"cells": []}')
        staging.write("report.html", b"<!doctype html>")
        staging.attach("evidence.txt", f"run {number}".encode())
        return Records(tmp_path, keys).seal(staging, {"outcome": "succeeded", "n": number}, at=at, who="ana")

    return seal
