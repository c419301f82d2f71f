"""Recovery: what a killed supervisor left behind is ended and sealed by the next command."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ops_lib.archive.amendments import Amendments
from ops_lib.archive.files import remove_unfinished
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import Records
from ops_lib.archive.staging import Staging, forget_nameless
from ops_lib.model.errors import DoesNotVerify, OpsError
from ops_lib.model.journal import waits
from ops_lib.model.ledger import EntryKind
from ops_lib.model.run import RUN_VARIABLE
from ops_lib.model.target import Hazard, Login
from ops_lib.notebooks import keeper
from ops_lib.operations.desk import Desk
from ops_lib.operations.known import redactor_for
from ops_lib.operations.owner import lives
from ops_lib.operations.seal import NOTEBOOK, seal
from ops_lib.postgres.connection import end_sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Which runs were sealed, and why others could not be: those are tried again by the next command."""

    sealed: tuple[str, ...]
    failed: Mapping[str, str]


def recover(desk: Desk) -> Recovery:
    """Seal every run whose supervisor is gone, but for those that wait for an approval: they have none.

    Each step can be killed and is done again by the next command. A run whose intent no signed head covers never began:
    its first cell waits for that, and what else claims to be a run is not ours to sign. What hinders one run hinders
    neither the others nor the command that came by: an archive on a full or read-only disk can still be read.
    """
    sealed: list[str] = []
    failed: dict[str, str] = {}
    with _noted(failed, "what was being taken out"):
        Amendments(desk.archive, desk.keys).finish_abandoned()
    with _noted(failed, "staging"):
        Ledger(desk.archive, desk.keys).remove_unfinished()
        forget_nameless(desk.archive)
        for staging in Staging.abandoned(desk.archive, leave=waits):
            with closing(staging), _noted(failed, staging.run_id):
                if not waits(staging.events) and not lives(_owner(staging)) and _recover(desk, staging):
                    sealed.append(staging.run_id)
    return Recovery(sealed=tuple(sealed), failed=failed)


@contextmanager
def _noted(failed: dict[str, str], what: str) -> Iterator[None]:
    """Whatever goes wrong is kept as a sentence."""
    try:
        yield
    except OpsError as error:
        failed[what] = str(error)
    except Exception as error:  # what is staged may have been damaged in any way
        failed[what] = f"{type(error).__name__}: {error}"


def _owner(staging: Staging) -> Mapping[str, Any] | None:
    """The process that has begun a run, or has gone on with it last."""
    return next((event["owner"] for event in reversed(staging.events) if event.get("owner")), None)


def _recover(desk: Desk, staging: Staging) -> bool:
    """Whether there was something to seal."""
    keeper.kill_strays(RUN_VARIABLE, staging.run_id)
    shutil.rmtree(desk.scratch(staging.run_id), ignore_errors=True)
    ledger = Ledger(desk.archive, desk.keys)
    if ledger.of_run(staging.run_id, EntryKind.INTENT) is None:
        staging.discard()
        return False
    if not staging.events:
        raise DoesNotVerify(f"{staging.folder} lost its journal", hint="the ledger has its intent; it stays as it is")
    login = _end_sessions(desk, staging.events)
    if ledger.of_run(staging.run_id, EntryKind.RESULT):
        remove_unfinished(staging.folder)
        Records(desk.archive, desk.keys).finish(staging)
        return True
    _keep_notebook(staging)
    seal(desk, staging, redactor_for(desk, login))
    return True


def _end_sessions(desk: Desk, events: list[dict[str, Any]]) -> Login | None:
    """End what the run still does on its target; a target that does not answer has lost the sessions by itself.

    Answers how the target is reached, since its password is to be hidden.
    """
    reached = next((event for event in events if event["kind"] == "target"), None)
    login = None
    with suppress(OpsError):
        if reached is not None:
            login = desk.reach(desk.target(reached["given"]), Hazard(events[0]["runbook"]["hazard"]))
            end_sessions(login, reached["application_name"])
    return login


def _keep_notebook(staging: Staging) -> None:
    """A run that was killed before it had prepared its notebook gets an empty one."""
    try:
        json.loads(staging.read(NOTEBOOK))
    except (OSError, ValueError):
        empty = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        staging.write(NOTEBOOK, json.dumps(empty).encode())
