"""Copying the newest head of the ledger to where whoever can rewrite the archive has no hand in it."""

import shutil

from ops_lib.archive.copies import copy_head
from ops_lib.model.errors import OpsError
from ops_lib.operations.desk import Desk


def publish_head(desk: Desk) -> None:
    """Copy the newest head to where the settings say; what goes wrong there is told, and fails nothing."""
    for place in desk.head_copies:
        scratch = desk.scratch()
        try:
            copy_head(desk.archive, place, scratch)
        except OpsError as error:
            desk.warn(f"the head of the ledger was not copied to {place}: {error}")
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
