"""Copying the newest head of the ledger to where whoever can rewrite the archive has no hand in it."""

from pathlib import Path
from tempfile import TemporaryDirectory

from ops_lib.archive.copies import copy_head
from ops_lib.model.errors import OpsError
from ops_lib.operations.desk import Desk


def publish_head(desk: Desk) -> None:
    """Copy the newest head to where the settings say; what goes wrong there is told, and fails nothing."""
    for place in desk.head_copies:
        try:
            with TemporaryDirectory(prefix="runbook-heads-") as scratch:
                copy_head(desk.archive, place, Path(scratch))
        except (OpsError, OSError) as error:
            desk.warn(f"the head of the ledger was not copied to {place}: {error}")
