"""The desk that commands work at."""

from argparse import Namespace

from ops_lib import wiring
from ops_lib.cli import render
from ops_lib.model.errors import BadInput
from ops_lib.operations.desk import Desk


def recovered(given: Namespace) -> Desk:
    """The desk, once what killed commands left behind is sealed or finished."""
    if (
        given.archive
        and not given.archive.is_dir()
        and (given.archive.exists() or given.command not in ("run", "demo", "doctor"))
    ):
        raise BadInput(
            f"there is no archive in {given.archive}", hint="name the folder that holds records/ and ledger.jsonl"
        )
    desk = wiring.open_desk(archive=given.archive, runbooks=getattr(given, "runbooks", None))
    if any(path for begun in ("staging", "amending") for path in (desk.archive / begun).glob("[0-9A-Z]*")):
        from ops_lib.operations.recover import recover  # noqa: PLC0415

        recovery = recover(desk)
        render.recovered(recovery.sealed, recovery.failed)
    return desk
