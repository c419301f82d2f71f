"""Recovery: what a killed supervisor left behind is ended and sealed by the next command."""

import json
import shutil
from contextlib import suppress
from typing import Any

from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import Records
from ops_lib.archive.staging import Staging
from ops_lib.model.errors import OpsError
from ops_lib.model.ledger import EntryKind
from ops_lib.model.target import Hazard
from ops_lib.notebooks import keeper
from ops_lib.operations.desk import Desk
from ops_lib.operations.run import RUN_VARIABLE, declare_intent
from ops_lib.operations.seal import NOTEBOOK, seal
from ops_lib.postgres.connection import end_sessions


def recover(desk: Desk) -> tuple[list[str], list[str]]:
    """Seal every run whose supervisor is gone: the ids of those that were sealed, and why others could not be.

    Each step can be killed and is done again by the next command. A run that wrote nothing durable never began. Where
    a run cannot be sealed (the disk is full), what was asked for is done all the same: an archive must stay readable.
    """
    sealed, failed = [], []
    try:
        for staging in Staging.abandoned(desk.archive):
            try:
                if _recover(desk, staging):
                    sealed.append(staging.run_id)
            except OpsError as error:
                staging.close()
                failed.append(f"{staging.run_id}: {error}")
    except OpsError as error:
        failed.append(str(error))
    return sealed, failed


def _recover(desk: Desk, staging: Staging) -> bool:
    keeper.kill_strays(RUN_VARIABLE, staging.run_id)
    shutil.rmtree(desk.scratch(staging.run_id), ignore_errors=True)
    if not staging.events:
        staging.discard()
        return False
    _end_sessions(desk, staging.events)
    ledger = Ledger(desk.archive)
    if ledger.of_run(staging.run_id, EntryKind.RESULT):
        Records(desk.archive).finish(staging)
        return True
    if ledger.of_run(staging.run_id, EntryKind.INTENT) is None:
        declare_intent(desk, staging)
    _keep_notebook(staging)
    seal(desk, staging)
    return True


def _end_sessions(desk: Desk, events: list[dict[str, Any]]) -> None:
    """End what the run still does on its target; a target that does not answer has lost the sessions by itself."""
    reached = next((event for event in events if event["kind"] == "target"), None)
    if reached is None:
        return
    with suppress(OpsError):
        login = desk.reach(desk.target(reached["given"]), Hazard(events[0]["runbook"]["hazard"]))
        end_sessions(login, reached["application_name"])


def _keep_notebook(staging: Staging) -> None:
    """A run that was killed before it had prepared its notebook gets an empty one."""
    try:
        json.loads(staging.read(NOTEBOOK))
    except (OSError, ValueError):
        empty = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        staging.write(NOTEBOOK, json.dumps(empty).encode())
