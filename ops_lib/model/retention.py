"""Retention: which backups may go, as a function of what there is.

One backup is kept for each of the last days, weeks and months that have one: the newest of it that is proven, or the
newest where none is. Whatever the counts say, a kept incremental backup keeps those that it builds upon, and the last
proven backup of each system and database stays.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ops_lib.model.backup import Backup
from ops_lib.model.errors import BadInput

_PERIODS: dict[str, Callable[[datetime], str]] = {
    "daily": lambda at: f"{at:%Y-%m-%d}",
    "weekly": lambda at: f"{at:%G-W%V}",
    "monthly": lambda at: f"{at:%Y-%m}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """For how many days, weeks and months that have a backup one is kept."""

    daily: int = 7
    weekly: int = 5
    monthly: int = 12

    def __post_init__(self) -> None:
        if min(self.daily, self.weekly, self.monthly) < 0 or not (self.daily or self.weekly or self.monthly):
            raise BadInput(f"{self} keeps nothing", hint="give at least one of daily, weekly and monthly")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of a backup; without a reason to keep it, it goes."""

    backup: Backup
    reasons: tuple[str, ...]

    @property
    def goes(self) -> bool:
        return not self.reasons


def retained(backups: Iterable[Backup], rule: Retention) -> tuple[Fate, ...]:
    """The fate of each backup, the newest first."""
    known = sorted(backups, key=lambda backup: (backup.manifest.began_at, backup.id), reverse=True)
    reasons: dict[str, list[str]] = {backup.id: [] for backup in known}
    for line in _lines(known):
        for backup, reason in _wanted(line, rule):
            reasons[backup.id].append(reason)
    _keep_parents(known, reasons)
    return tuple(Fate(backup=backup, reasons=tuple(reasons[backup.id])) for backup in known)


def _lines(known: Sequence[Backup]) -> list[list[Backup]]:
    """The backups of one thing: of one database of a cluster, or of the cluster."""
    lines: dict[tuple[object, ...], list[Backup]] = {}
    for backup in known:
        source, of_files = backup.manifest.source, backup.manifest.kind.of_files
        thing = (source.system_identifier or backup.manifest.target, of_files, None if of_files else source.database)
        lines.setdefault(thing, []).append(backup)
    return list(lines.values())


def _wanted(line: Sequence[Backup], rule: Retention) -> Iterator[tuple[Backup, str]]:
    for name, period in _PERIODS.items():
        of_period: dict[str, list[Backup]] = {}
        for backup in line:
            of_period.setdefault(period(backup.manifest.began_at), []).append(backup)
        for when in sorted(of_period, reverse=True)[: getattr(rule, name)]:
            yield _best(of_period[when]), f"{name} {when}"
    if line:
        yield line[0], "newest"
    if last := next((backup for backup in line if backup.proven_at), None):
        yield last, "last proven"


def _best(of_period: Sequence[Backup]) -> Backup:
    return next((backup for backup in of_period if backup.proven_at), of_period[0])


def _keep_parents(newest_first: Sequence[Backup], reasons: dict[str, list[str]]) -> None:
    for backup in newest_first:
        parent = backup.manifest.parent
        if reasons[backup.id] and parent in reasons:
            reasons[parent].append(f"{backup.manifest.folder_name} builds upon it")
