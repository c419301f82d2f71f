"""Letting backups go: what the rule says, done only when told so."""

from ops_lib.model.retention import Fate, Retention, retained
from ops_lib.operations.backups.shelf import Shelf


def retain(shelf: Shelf, rule: Retention, *, remove: bool = False) -> tuple[Fate, ...]:
    """The fate of each backup; those that go are removed where `remove` says so, newer ones first.

    An incremental backup goes before what it builds upon, so that a kill in between leaves nothing that is cut off.
    """
    fates = retained(shelf.repository.backups(), rule)
    for fate in fates if remove else ():
        if fate.goes:
            shelf.repository.remove(fate.backup, why=f"not kept by {rule}")
    return fates
