"""Backups and drills for people: what is kept, what a drill has shown, how recovery has changed, what may go."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ops_lib.model.advance import size
from ops_lib.model.backup import Backup, exposure
from ops_lib.model.drill import Drill
from ops_lib.model.finding import Finding, Remedy, Severity
from ops_lib.model.result import Metric, Result, Table
from ops_lib.model.retention import Fate
from ops_lib.model.times import format_instant, format_seconds

CHECK = "backups"
_PROOF_HOLDS = timedelta(days=8)
_DRILL = "OPS-RESTORE-DRILL"


def overview(
    backups: Sequence[Backup], *, now: datetime, every: timedelta | None, archived_to: datetime | None,
    missing: Sequence[str] = (), unreadable: Sequence[str] = (),
) -> Result:  # fmt: skip
    """What is kept, and how much could be lost now."""
    lost = exposure(backups, every=every, archived_to=archived_to)
    return Result(
        title="What is kept, and what could be lost?",
        verdict=f"{_count(len(backups), 'backup')}, {sum(bool(b.proven_at) for b in backups)} of them proven. "
        f"If it were lost now: {lost}.",
        findings=tuple(_of_repository(backups, now, missing, unreadable)),
        table=Table.of(("as of", "target", "kind", "size", "proven", "name"), [_row(backup) for backup in backups])
        if backups
        else None,
        notes=tuple(dict.fromkeys(note for backup in backups[:1] for note in backup.manifest.saved.notes)),
    )


def _row(backup: Backup) -> tuple[Any, ...]:
    manifest, proven = backup.manifest, backup.proven_at
    told = format_instant(proven) if proven else "failed" if backup.drill else "not yet"
    named = (manifest.target, manifest.kind.value, size(manifest.bytes), told, manifest.folder_name)
    return (format_instant(manifest.as_of), *named)


def _of_repository(
    backups: Sequence[Backup], now: datetime, missing: Sequence[str], unreadable: Sequence[str]
) -> Iterator[Finding]:
    for name in missing:
        told = f"The backup {name} was taken and is gone, and nobody removed it with this tool."
        yield _finding(name, Severity.CRITICAL, "backup-missing", told, Remedy(text="Find out who removed it."))
    for name in unreadable:
        told = f"{name} is named like a backup and has no manifest that can be read."
        yield _finding(
            name, Severity.CRITICAL, "backup-damaged", told, Remedy(text="Take another one; look at the disk.")
        )
    for backup in backups:
        if backup.drill and (caught := backup.drill.caught_by):
            yield damaged(backup.manifest.folder_name, backup.drill, caught.name, caught.said)
    newest = max((backup.proven_at for backup in backups if backup.proven_at), default=None)
    if backups and (newest is None or now - newest > _PROOF_HOLDS):
        told = "No backup has been proven" if newest is None else f"The newest proof is of {format_instant(newest)}"
        remedy = Remedy(text="Restore the newest backup in a drill.", runbook=_DRILL, parameters={})
        yield _finding("cluster", Severity.WARNING, "backup-unproven", f"{told}.", remedy, prefix="")


def _finding(
    name: str, severity: Severity, cause: str, told: str, remedy: Remedy, *, prefix: str = "backup:"
) -> Finding:
    return Finding(check=CHECK, subject=f"{prefix}{name}", severity=severity, cause=cause, summary=told, remedy=remedy)


def damaged(name: str, drill: Drill, check: str, said: str) -> Finding:
    """A backup that a drill has found not to be what was saved."""
    return Finding(
        check=CHECK, subject=f"backup:{name}", severity=Severity.CRITICAL, cause="backup-damaged",
        summary=f"{name} does not come back: {check}: {said}.",
        remedy=Remedy(text="Take another backup now; then see what else is on that disk.", runbook="OPS-BACKUP",
                      parameters={}),
        evidence={"check": check, "said": said, "at": format_instant(drill.at)},
    )  # fmt: skip


def taken(backup: Backup, seconds: float) -> Result:
    """A backup that was just taken."""
    manifest = backup.manifest
    encrypted = f", encrypted to {_count(len(manifest.recipients), 'recipient')}" if manifest.recipients else ""
    rows = sum(table.rows for table in manifest.saved.tables)
    counted = f", {len(manifest.saved.tables)} tables with {rows:,} rows counted" if manifest.saved.tables else ""
    return Result(
        title="Is there a new backup?",
        verdict=f"{manifest.folder_name}: {size(manifest.bytes)} in {format_seconds(seconds)}, as of "
        f"{format_instant(manifest.as_of)}{counted}{encrypted}. It counts once a drill has restored it.",
        metrics={
            "backup_seconds": Metric(value=seconds, unit="s"),
            "backup_bytes": Metric(value=manifest.bytes, unit="bytes"),
        },
        notes=manifest.saved.notes,
        next_step=f"Restore it in a drill: runbook run {_DRILL}",
    )


def drilled(drills: Mapping[str, Drill]) -> Result:
    """What drills have shown, by the names of the backups' folders."""
    title = "Do the backups come back?"
    if not drills:
        return Result(title=title, verdict="There is no backup to restore.", skipped="there is no backup")
    rows = [
        (name, check.name, {True: "passed", False: "FAILED", None: "not seen"}[check.passed], check.said, check.seconds)
        for name, drill in drills.items() for check in drill.checks
    ]  # fmt: skip
    caught = [(name, drill, bad) for name, drill in drills.items() if (bad := drill.caught_by)]
    return Result(
        title=title,
        verdict=" ".join(_sentence(name, drill) for name, drill in drills.items()),
        findings=tuple(damaged(name, drill, bad.name, bad.said) for name, drill, bad in caught),
        table=Table.of(("backup", "check", "outcome", "what it saw", "seconds"), rows),
        metrics=dict(_metrics(drills.values())),
    )


def _sentence(name: str, drill: Drill) -> str:
    if bad := drill.caught_by:
        return f"{name} does not come back; caught by {bad.name}: {bad.said}."
    assert drill.loss is not None
    lost = format_seconds(max(drill.loss.total_seconds(), 0))
    return f"{name} is proven: it answered after {format_seconds(drill.recovery_seconds or 0)}, and {lost} were lost."


def _metrics(drills: Iterable[Drill]) -> Iterator[tuple[str, Metric]]:
    """The slowest recovery and the greatest loss of those that came back."""
    proven = [drill for drill in drills if drill.proven]
    if proven:
        yield "recovery_time", Metric(value=max(drill.recovery_seconds or 0 for drill in proven), unit="s")
        losses = [drill.loss.total_seconds() for drill in proven if drill.loss is not None]
        yield "recovery_point", Metric(value=max(losses, default=0.0), unit="s")


def trend(drills: Sequence[tuple[str, Drill]], picture: bytes | None) -> Result:
    """How recovery time and point have changed over all drills that are remembered, by the kind of backup."""
    title = "How long does recovery take, and how has that changed?"
    if not drills:
        return Result(title=title, verdict="No drill has been recorded yet.")
    rows = [
        (format_instant(drill.at), kind, _outcome(drill),
         drill.recovery_seconds, drill.loss.total_seconds() if drill.loss else None)
        for kind, drill in reversed(drills)
    ]  # fmt: skip
    proven = [drill for _, drill in drills if drill.proven]
    told = f"{_count(len(drills), 'drill')}, {len(proven)} of them proven"
    if proven:
        times = [drill.recovery_seconds or 0 for drill in proven]
        told += f"; recovery took {format_seconds(times[-1])} last, at most {format_seconds(max(times))}"
    columns = ("drill", "kind", "outcome", "recovery time (s)", "lost (s)")
    return Result(title=title, verdict=f"{told}.", table=Table.of(columns, rows), picture=picture)


def _outcome(drill: Drill) -> str:
    return f"caught by {drill.caught_by.name}" if drill.caught_by else "proven"


def fates(chosen: Sequence[Fate], *, removed: bool) -> Result:
    """What retention says, and whether it was done."""
    going = [fate.backup for fate in chosen if fate.goes]
    freed = size(sum(backup.manifest.bytes for backup in going))
    done = "were removed" if removed else "may go, and are there until it is told remove=True"
    verdict = f"{len(chosen) - len(going)} of {_count(len(chosen), 'backup')} stay. {len(going)} ({freed}) {done}."
    rows = [
        (fate.backup.manifest.folder_name, "goes" if fate.goes else "stays", ", ".join(fate.reasons))
        for fate in chosen
    ]  # fmt: skip
    table = Table.of(("backup", "fate", "why"), rows) if rows else None
    return Result(title="What may go?", verdict=verdict if chosen else "There is no backup.", table=table)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
