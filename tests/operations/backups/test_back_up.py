"""Backups that are taken, and what a drill says of them while they are well."""

from ops_lib.model.backup import Kind
from ops_lib.operations.backups.drill import drill


def names(checks):
    """The checks that passed, in order."""
    return [check.name for check in checks if check.passed]


def test_a_logical_backup_is_proven(shelf, take):
    """What was saved comes back, row for row, and the backup says when that was shown."""
    backup = take()
    told = drill(shelf, shelf.repository.folder(backup))
    assert told.caught_by is None, told
    assert told.proven
    assert names(told.checks) == [
        "manifest", "signature", "cluster", "files", "restore", "counts", "digests", "sequences", "amcheck",
        "freshness", "assertions",
    ]  # fmt: skip
    assert shelf.repository.find(backup.id).proven_at == told.at.replace(microsecond=told.at.microsecond // 1000 * 1000)


def test_a_physical_backup_is_proven(shelf, take):
    """The files of the cluster come to life, of the same system."""
    backup = take(Kind.PHYSICAL)
    told = drill(shelf, shelf.repository.folder(backup))
    assert told.caught_by is None, told
    assert told.proven
    assert told.recovery_point >= backup.manifest.as_of
