"""Keepsakes: what a run of migrations attaches to its record, for the runs that come after it.

Read where the run has it now: below staging while it goes on or waits, with its record once it is sealed.
"""

import gzip
import json
import re
from pathlib import Path
from typing import Any

from ops_lib.archive.records import Records
from ops_lib.archive.staging import ATTACHMENTS
from ops_lib.model.errors import OpsError
from ops_lib.model.rehearsal import Rehearsal
from ops_lib.postgres.migrations.schema import Schema

PLAN = "plan.json.gz"
BEFORE = "schema-before.json.gz"
AFTER = "schema-after.json.gz"
REHEARSAL = "rehearsal.json.gz"
CHANGELOG = "changelog.md"


def safe(name: str) -> str:
    """The name under which a safe form is attached.

    >>> safe("V1.2__a b.sql")
    'safe-V1.2__a_b.sql'
    """
    return re.sub(r"[^A-Za-z0-9._-]", "_", f"safe-{name}")[-100:]


def packed(value: Any) -> bytes:
    """JSON as a run attaches it; the same value gives the same bytes."""
    return gzip.compress(json.dumps(value, sort_keys=True).encode(), mtime=0)


def plan(archive: Path, run_id: str) -> dict[str, Any]:
    """What a run has planned; OpsError where it is not there any more."""
    found = _read(archive, run_id, PLAN)
    if not isinstance(found, dict):
        raise OpsError(f"the plan of run {run_id} is not to be found", hint="begin a new run, which plans anew")
    return found


def schema(archive: Path, run_id: str, name: str) -> Schema | None:
    """The schema that a run has kept under a name; nothing where it has none, or it was redacted."""
    parts = _read(archive, run_id, name)
    return None if parts is None else Schema(parts=parts)


def rehearsal(archive: Path, run_id: str) -> Rehearsal:
    """The rehearsal that a run has kept; OpsError where it is not there any more."""
    found = _read(archive, run_id, REHEARSAL)
    if found is None:
        raise OpsError(
            f"the rehearsal of run {run_id} is not to be found", hint="begin a new run, which rehearses anew"
        )
    return Rehearsal.from_json(found)


def _read(archive: Path, run_id: str, name: str) -> Any:
    for folder in (archive / "staging" / run_id, Records(archive).folder_of(run_id)):
        try:
            return json.loads(gzip.decompress((folder / ATTACHMENTS / name).read_bytes()))
        except (OSError, EOFError, ValueError):
            continue
    return None
