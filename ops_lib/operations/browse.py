"""Reading an archive: which records there are, and whether they are what the ledger says."""

from itertools import islice
from pathlib import Path
from typing import Any

from ops_lib.archive.records import Records
from ops_lib.archive.verification import Verification, verify_archive, verify_run
from ops_lib.model.times import parse_since
from ops_lib.model.ulid import instant
from ops_lib.operations.desk import Desk


def list_records(
    desk: Desk, *, runbook: str | None, outcome: str | None, since: str | None, limit: int
) -> list[dict[str, Any]]:
    """The newest records that fit, each with the folder that holds it under `folder`."""
    kept = Records(desk.archive)
    after = parse_since(since, desk.clock()) if since else None
    found = (
        {**record, "folder": str(folder)}
        for folder in kept.newest_first()
        if after is None or instant(folder.name) >= after
        for record in [kept.read(folder)]
        if (runbook is None or record["runbook"]["id"].lower() == runbook.lower())
        and (outcome is None or record["outcome"] == outcome)
    )
    return list(islice(found, limit))


def verify(desk: Desk, run: str | None) -> Verification:
    """Recompute one record, or everything."""
    if run is None:
        return verify_archive(desk.archive)
    folder: Path = Records(desk.archive).find(run)
    return verify_run(desk.archive, folder)
