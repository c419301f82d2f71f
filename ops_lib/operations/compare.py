"""Comparing runs: any two, and each with the one before it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ops_lib.archive.index import UNREADABLE, read_notebook
from ops_lib.archive.records import Records
from ops_lib.archive.staging import ATTACHMENTS
from ops_lib.model.comparison import Comparison
from ops_lib.model.comparison import compare as differences
from ops_lib.model.errors import BadInput, OpsError
from ops_lib.model.run import Outcome
from ops_lib.model.search import Label, Query
from ops_lib.model.snapshot import FILE_NAME, Snapshot
from ops_lib.model.summary import Summary, identity
from ops_lib.operations.beside import beside
from ops_lib.operations.desk import Desk
from ops_lib.operations.look import look

LOOK_BACK = 50


def compare(desk: Desk, earlier: str, later: str) -> Comparison:
    """What is different from one run to another, in the order in which they are named."""
    kept = Records(desk.archive)
    folders = kept.find(earlier), kept.find(later)
    records = kept.read(folders[0]), kept.read(folders[1])
    notebooks = _notebook(folders[0]), _notebook(folders[1])
    return differences(*records, snapshots=_snapshots(*folders), notebooks=notebooks)


class Earlier:
    """The run before another one, looked for while that one goes on; again where any was sealed in the meantime.

    Whatever is sealed leaves the folder of staged runs, and so tells by the time of its last change.
    """

    def __init__(self, archive: Path, record: Mapping[str, Any]) -> None:
        self._archive, self._record = archive, record
        self._changed = self._last_change()
        self._found = beside(_before, archive, record)

    def run_id(self) -> str | None:
        """Which it is by now."""
        same = self._changed == self._last_change()
        return self._found.result() if same else _before(self._archive, self._record)

    def _last_change(self) -> int:
        return (self._archive / "staging").stat().st_mtime_ns


def since_last(
    archive: Path, record: Mapping[str, Any], staged: Path, earlier: Earlier | None = None
) -> dict[str, Any] | None:
    """What is different from the run before of the same runbook on the same target; nothing where there is none.

    Nothing, too, where it cannot be told: an old record that somebody damaged never keeps a new one from being sealed.
    """
    try:
        before = earlier.run_id() if earlier else _before(archive, record)
        if before is None:
            return None
        folder = Records(archive).folder_of(before)
        return differences(Records(archive).read(folder), record, snapshots=_snapshots(folder, staged)).since_last()
    except (OpsError, *UNREADABLE):
        return None


def _notebook(folder: Path) -> dict[str, Any]:
    try:
        return read_notebook(folder)
    except OSError as error:
        raise BadInput(f"the notebook in {folder} cannot be read: {error}", hint="see `runbook verify`") from None


def _before(archive: Path, record: Mapping[str, Any]) -> str | None:
    """The newest earlier run of the same runbook on the same target: one that succeeded, where there is one."""
    target = record["target"] or {}
    database = identity(target.get("system_identifier"), target.get("database"))
    labels = ((Label.RUNBOOK, record["runbook"]["id"]), (Label.IDENTITY, database))
    query = Query(labels=labels, before=record["run_id"])
    same, _ = look(archive, query, lambda found: [*_of_target(found, target.get("name"))], hurry=True)
    succeeded = (summary.run_id for summary in same if summary.outcome == Outcome.SUCCEEDED)
    return next(succeeded, same[0].run_id if same else None)


def _of_target(found: Iterator[Summary], name: str | None) -> Iterator[Summary]:
    """The newest few of a target by name, up to the first that succeeded."""
    for number, summary in enumerate(found):
        if number == LOOK_BACK:
            return
        if summary.target == name:
            yield summary
            if summary.outcome == Outcome.SUCCEEDED:
                return


def _snapshots(earlier: Path, later: Path) -> tuple[Snapshot, Snapshot] | None:
    """What both runs have kept of their database, where both have."""
    paths = [folder / ATTACHMENTS / FILE_NAME for folder in (earlier, later)]
    if not all(path.is_file() for path in paths):
        return None
    try:
        return Snapshot.from_bytes(paths[0].read_bytes()), Snapshot.from_bytes(paths[1].read_bytes())
    except (OpsError, *UNREADABLE):
        return None
