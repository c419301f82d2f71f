"""What an auditor asks for: every run of a period, the evidence of a sample, and changes that no run explains.

runs.csv            the complete population, from the ledger: intents without a result are in it
changes.csv         schema changes between snapshots that were kept, and that no changing run in between mentions
statement.txt       the period, the counts, and the signed head that they were made under
evidence/RUN.zip    the sampled records, each with what it takes to check it
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from ops_lib.archive import files
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import Records
from ops_lib.archive.staging import ATTACHMENTS
from ops_lib.archive.verification import Trust, verify_archive
from ops_lib.model.changes import Change, ChangeKind, differences
from ops_lib.model.errors import BadInput, DoesNotVerify
from ops_lib.model.ledger import sha256
from ops_lib.model.merkle import Tree, leaf_hash
from ops_lib.model.population import COLUMNS, Undertaking, population
from ops_lib.model.snapshot import Snapshot
from ops_lib.model.target import Hazard
from ops_lib.model.times import format_instant, parse_instant
from ops_lib.operations import snapshots
from ops_lib.operations.desk import Desk
from ops_lib.operations.export import export
from ops_lib.operations.provenance import author_of

CHANGE_COLUMNS = (
    "database", "subject", "change", "before", "after", "not_yet_at", "seen_at", "not_yet_in_run", "seen_in_run",
    "changing_runs_between",
)  # fmt: skip
_NO_SCHEMA = {ChangeKind.QUERY_SLOWER, ChangeKind.TABLE_GROWN, ChangeKind.TABLE_SHRUNK}
_OTHER_INDEX = re.compile(
    r"\bINDEX\s+(?:CONCURRENTLY\s+)?(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(?!ON\b|CONCURRENTLY\b|IF\b)\w", re.IGNORECASE
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What was made, and how much is in it."""

    folder: Path
    runs: int
    unsealed: int
    unexplained: int
    sampled: tuple[str, ...]
    faults: int
    size: int
    root: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A snapshot and the run that took it."""

    run_id: str
    snapshot: Snapshot

    @property
    def database(self) -> str:
        return f"{self.snapshot.identity.system_identifier}/{self.snapshot.identity.database}"


def audit(desk: Desk, *, since: str, until: str, sample: int = 0, folder: Path | None = None) -> Audit:
    """Make the files of an audit of the runs that were asked for from one day or instant to another, both included."""
    begin, end = parse_instant(since), _end_of(until)
    if end < begin:
        raise BadInput(f"{until} is before {since}", hint="give the first day as --from and the last as --to")
    place = folder or Path(f"audit-{begin:%Y-%m-%d}-{end:%Y-%m-%d}")
    if place.exists() and any(place.iterdir()):
        raise BadInput(f"{place} is there already", hint="name another folder with --to-folder")
    ledger = Ledger(desk.archive, desk.keys)
    tree = Tree(map(leaf_hash, ledger.signed_lines()))
    root = tree.root(tree.size)
    faults = verify_archive(desk.archive, Trust(own=desk.keys)).faults
    everything = population(ledger.entries())
    runs = [run for run in everything if begin <= parse_instant(run.intent.at) <= end]
    changes = list(_unexplained(desk, everything, begin, end))
    files.make_folder(place)
    rows = [run.row(_author(desk, run)) for run in runs]
    files.write_whole(place / "runs.csv", _csv(COLUMNS, rows))
    files.write_whole(place / "changes.csv", _csv(CHANGE_COLUMNS, changes))
    sampled = _evidence(desk, _sample(runs, sample, root), place / "evidence")
    made = Audit(
        folder=place, runs=len(runs), unsealed=sum(run.result is None for run in runs), unexplained=len(changes),
        sampled=tuple(sampled), faults=len(faults), size=tree.size, root=root.hex(),
    )  # fmt: skip
    files.write_whole(place / "statement.txt", _statement(desk, made, (begin, end), map(str, faults)).encode())
    return made


def _end_of(text: str) -> datetime:
    """An instant; of a day, its end."""
    at = parse_instant(text)
    return at + timedelta(days=1, milliseconds=-1) if len(text.strip()) == 10 else at


def _author(desk: Desk, run: Undertaking) -> tuple[str, str]:
    runbook: Mapping[str, Any] = run.intent.body.get("runbook") or {}
    return _author_of(desk.cwd, runbook.get("file"), runbook.get("commit"), runbook.get("owner"))


@cache
def _author_of(folder: Path, file: str | None, commit: str | None, owner: str | None) -> tuple[str, str]:
    author = author_of(folder, file, commit) if file else None
    return (author, "git") if author else (owner or "", "owner in the runbook")


def _sample(runs: Sequence[Undertaking], size: int, root: bytes) -> list[str]:
    """As many sealed runs, picked by the digests of the head and their ids: nobody's choice, and the same again."""
    kept = [run.run_id for run in runs if run.state() in ("kept", "redacted")]
    return sorted(kept, key=lambda run_id: sha256(root + run_id.encode()))[:size]


def _evidence(desk: Desk, run_ids: Iterable[str], folder: Path) -> Iterator[str]:
    """The zips of these records; one that does not verify is told of and is not among them."""
    for run_id in run_ids:
        files.make_folder(folder)
        try:
            export(desk, run_id, folder / f"{run_id}.zip")
        except (DoesNotVerify, BadInput) as error:
            desk.warn(f"no evidence of run {run_id}: {error}")
        else:
            yield run_id


# Schema changes that no record explains.


def _unexplained(
    desk: Desk, runs: Sequence[Undertaking], begin: datetime, end: datetime
) -> Iterator[dict[str, Any]]:  # fmt: skip
    latest: dict[str, _Kept] = {}
    for kept in _snapshots(desk, runs):
        before, latest[kept.database] = latest.get(kept.database), kept
        if before and begin <= kept.snapshot.taken_at <= end:
            between = [run for run in runs if _could_change(run, before, kept)]
            for change in differences(before.snapshot, kept.snapshot):
                if change.kind not in _NO_SCHEMA and not any(
                    _explains(desk, run, kept.database, change) for run in between
                ):
                    yield _change_row(change, before, kept, between)


def _snapshots(desk: Desk, runs: Iterable[Undertaking]) -> Iterator[_Kept]:
    """The snapshots that were kept, the oldest first; what cannot be read is left out."""
    records = Records(desk.archive)
    for run in runs:
        with suppress(OSError, BadInput):
            content = (records.folder_of(run.run_id) / ATTACHMENTS / snapshots.NAME).read_bytes()
            yield _Kept(run_id=run.run_id, snapshot=Snapshot.from_bytes(content))


def _could_change(run: Undertaking, before: _Kept, after: _Kept) -> bool:
    """Whether a run that may change something was at work between two snapshots."""
    if (run.intent.body.get("runbook") or {}).get("hazard") in (None, Hazard.READ_ONLY):
        return False
    ended = (run.result.body.get("ended_at") or run.result.at) if run.result else None
    began_before = parse_instant(run.intent.at) <= after.snapshot.taken_at
    return began_before and (ended is None or parse_instant(ended) >= before.snapshot.taken_at)


def _explains(desk: Desk, run: Undertaking, database: str, change: Change) -> bool:
    """Whether something that a run did names what changed: an index itself, or else its table and no other index."""
    table = re.compile(rf"\b{re.escape(change.subject.removeprefix('setting:').rpartition('.')[2])}\b", re.IGNORECASE)
    index = (
        re.compile(rf"\b{re.escape(change.index.name.rpartition('.')[2])}\b", re.IGNORECASE) if change.index else None
    )
    return any(
        index.search(done) or (table.search(done) and not _OTHER_INDEX.search(done)) if index else table.search(done)
        for done in _done(desk.archive, run.run_id, database)
    )


@cache
def _done(archive: Path, run_id: str, database: str) -> tuple[str, ...]:
    """What a record says that its run did to a database: statements, commands and steps, a text each."""
    records = Records(archive)
    try:
        record = records.read(records.folder_of(run_id))
    except BadInput:
        return ()
    target = record.get("target") or {}
    if f"{target.get('system_identifier')}/{target.get('database')}" != database:
        return ()
    return tuple(map(str, (*record.get("statements", ()), *record.get("steps", ()))))


def _change_row(change: Change, before: _Kept, after: _Kept, between: Sequence[Undertaking]) -> dict[str, Any]:
    return {
        "database": after.database, "subject": change.subject, "change": change.kind.value, "before": change.before,
        "after": change.after, "not_yet_at": format_instant(before.snapshot.taken_at),
        "seen_at": format_instant(after.snapshot.taken_at), "not_yet_in_run": before.run_id,
        "seen_in_run": after.run_id, "changing_runs_between": "; ".join(run.run_id for run in between),
    }  # fmt: skip


# Files.


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """A table that a spreadsheet shows as what it is: no cell is taken for a formula."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return out.getvalue().encode()


def _cell(value: Any) -> Any:
    """A value of a cell.

    >>> _cell("=HYPERLINK()"), _cell(None), _cell(3)
    ("'=HYPERLINK()", '', 3)
    """
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _statement(desk: Desk, made: Audit, period: tuple[datetime, datetime], faults: Iterable[str]) -> str:
    head = Ledger(desk.archive).heads.read()
    lines = [
        f"Runs that were asked for from {format_instant(period[0])} to {format_instant(period[1])}: {made.runs}.",
        f"Of these, begun and not sealed: {made.unsealed}.",
        f"Schema changes between snapshots that no changing run mentions: {made.unexplained}.",
        f"Evidence of a sample: {len(made.sampled)} records.",
        "",
        f"Made from all {made.size} entries of the ledger, whose root is {made.root}.",
        "It is complete as far as it extends the head that was kept elsewhere: runbook verify --since HEAD.",
        *(f"DOES NOT VERIFY: {fault}" for fault in faults),
        "",
        "The newest signed head:",
        head.text() if head else "none",
    ]
    return "\n".join(lines)
