"""What is said of backups in plain words."""

from dataclasses import replace
from datetime import timedelta

from ops_lib.model.backup import Kind, exposure
from tests.model.test_retention import NOW, backup


def test_how_much_can_be_lost_is_said_in_plain_words():
    """By what there is: nothing, backups at intervals, or an archive of the log that carries a copy on."""
    proven, hoped = backup(1, NOW, proven=True), replace(backup(2, NOW), drill=None)
    copy = backup(3, NOW, proven=True, kind=Kind.PHYSICAL)
    day, later = timedelta(days=1), NOW + timedelta(hours=2)
    assert exposure([], every=day, archived_to=None) == "everything: there is no backup"
    assert exposure([proven], every=day, archived_to=None) == "up to 24 h: no WAL archive"
    assert exposure([proven], every=timedelta(hours=6), archived_to=None) == "up to 6h: no WAL archive"
    assert exposure([proven], every=None, archived_to=None) == "all since 2026-01-01T00:00:00.000Z: no WAL archive"
    assert exposure([hoped], every=day, archived_to=None).endswith("and none of the backups has been proven")
    assert exposure([proven], every=day, archived_to=later) == "up to 24 h: no WAL archive", "a dump is not carried on"
    reaches = "what came after 2026-01-01T02:00:00.000Z, to which the WAL archive reaches"
    assert exposure([proven, copy], every=day, archived_to=later) == reaches
