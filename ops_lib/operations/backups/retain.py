"""Letting backups go: what the rule says, done only when told so."""

from collections.abc import Iterable

from ops_lib.model.retention import Fate, Retention, retained
from ops_lib.operations.backups.shelf import Shelf


def retain(shelf: Shelf, rule: Retention, *, remove: bool = False) -> tuple[Fate, ...]:
    """The fate of each backup; those that go are removed where `remove` says so, newer ones first.

    An incremental backup goes before what it builds upon, so that a kill in between leaves nothing that is cut off.
    With them goes the archived WAL that begins before every copy that stays.
    """
    fates = retained(shelf.repository.backups(), rule)
    if remove:
        for fate in fates:
            if fate.goes:
                shelf.repository.remove(fate.backup, why=f"not kept by {rule}")
        _trim(shelf, fates)
    return fates


def _trim(shelf: Shelf, fates: Iterable[Fate]) -> None:
    """The oldest copy of each system that stays says from where on its WAL is needed."""
    oldest: dict[str, str] = {}
    for fate in fates:
        manifest = fate.backup.manifest
        if not fate.goes and manifest.saved.wal and manifest.source.system_identifier:
            oldest[manifest.source.system_identifier] = manifest.saved.wal.start
    for system, start in oldest.items():
        shelf.repository.trim_wal(system, start)
