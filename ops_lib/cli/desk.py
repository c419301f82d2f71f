"""The desk that commands work at."""

from argparse import Namespace

from ops_lib import wiring
from ops_lib.cli import render
from ops_lib.model.errors import BadInput
from ops_lib.operations.desk import Desk

_MAKE_ONE = ("run", "demo", "doctor", "tick")


def recovered(given: Namespace) -> Desk:
    """The desk, once what killed commands left behind is sealed or finished."""
    desk = wiring.open_desk(archive=given.archive, runbooks=getattr(given, "runbooks", None))
    asked_for = given.archive or given.command == "verify"  # an archive that is gone is not one that is whole
    if asked_for and not desk.archive.is_dir() and (desk.archive.exists() or given.command not in _MAKE_ONE):
        hint = "name the folder that holds records/ and ledger.jsonl with --archive"
        raise BadInput(f"there is no archive in {desk.archive}", hint=hint)
    if any(path for begun in ("staging", "amending") for path in (desk.archive / begun).glob("[0-9A-Z]*")):
        from ops_lib.operations.recover import recover  # noqa: PLC0415

        recovery = recover(desk)
        render.recovered(recovery.sealed, recovery.failed)
    return desk
