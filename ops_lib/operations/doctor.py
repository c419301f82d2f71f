"""Whether everything that runs need is there: one line an answer, with what to do where it is not."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ops_lib.model.errors import OpsError
from ops_lib.model.target import Hazard
from ops_lib.notebooks.catalogue import read_catalogue
from ops_lib.operations.desk import Desk
from ops_lib.operations.verify import verify
from ops_lib.postgres.connection import connect, identify


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One thing that was looked at, whether it is as it should be, and what is to be said of it."""

    what: str
    well: bool
    text: str


def examine(desk: Desk, target: str | None) -> Iterator[Answer]:
    """Python, archive, catalogue, and the target or all targets."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Answer(what="python", well=sys.version_info >= (3, 11), text=f"{version} at {sys.prefix}")
    yield _answer("archive", lambda: _archive(desk))
    yield _answer("runbooks", lambda: _catalogue(desk))
    for name in [target] if target else sorted(desk.targets):
        yield _answer(f"target {name}", lambda name=name: _target(desk, name))  # type: ignore[misc]


def _answer(what: str, look: Callable[[], str]) -> Answer:
    try:
        return Answer(what=what, well=True, text=look())
    except OpsError as error:
        return Answer(what=what, well=False, text=str(error))


def _archive(desk: Desk) -> str:
    parent = next(path for path in [desk.archive, *desk.archive.absolute().parents] if path.exists())
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OpsError(f"{parent} cannot be written", hint="choose another archive with --archive DIR")
    found = verify(desk)
    if found.faults:
        raise OpsError(f"{len(found.faults)} things do not verify", hint="runbook verify names them")
    return f"{desk.archive}: {found.records} records verify"


def _catalogue(desk: Desk) -> str:
    catalogue = read_catalogue(desk.runbooks)
    if catalogue.faults:
        raise OpsError(f"{len(catalogue.faults)} files are no runbooks", hint="runbook list names them")
    return f"{len(catalogue.runbooks)} in {', '.join(str(Path(folder)) for folder in desk.runbooks)}"


def _target(desk: Desk, name: str) -> str:
    login = desk.reach(desk.target(name), Hazard.READ_ONLY)
    with connect(login, application_name="runbook/doctor") as connection:
        identity = identify(connection)
    missing = [
        text
        for text, there in (
            ("pg_stat_statements is not installed", "pg_stat_statements" in identity.extensions),
            ("no pg_monitor: sessions and statistics of others are hidden", identity.can_monitor),
            ("no pg_read_all_data: plans are not visible", identity.can_read_all),
        )
        if not there
    ]
    version = f"{identity.server_version // 10000}.{identity.server_version % 10000}"
    seen = "; ".join(missing) or "everything that runbooks ask can be seen"
    return f"PostgreSQL {version}, database {identity.database} as {identity.user}, guard {identity.guard}; {seen}"
