"""Retention never takes what may not go, whatever happened before."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ops_lib.model.backup import Backup, Kind, Manifest, Saved, Source
from ops_lib.model.drill import Check, Drill
from ops_lib.model.errors import BadInput
from ops_lib.model.retention import Retention, retained

WHOLE = os.environ.get("RUNBOOK_CRASH") == "whole"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def backup(
    number: int,
    at: datetime,
    *,
    proven: bool = False,
    kind: Kind = Kind.LOGICAL,
    parent: str | None = None,
    system: str = "1",
    database: str = "platform",
) -> Backup:
    """A backup without files."""
    source = Source(system_identifier=system, server_version=180000, database=database, superuser="postgres")
    saved = Saved(source=source, program="pg_dump 18.0", as_of=at, size=1)
    made = Manifest(
        id=f"{number:026}", kind=kind, target="t", began_at=at, ended_at=at, saved=saved, files=(), parent=parent
    )
    check = Check(name="restore", passed=proven, said="")
    drill = Drill(backup=made.id, at=at, manifest_sha256="", checks=(check,), recovery_seconds=1.0)
    return Backup(manifest=made, drill=drill)


def test_days_weeks_and_months_are_kept():
    """A year of daily backups shrinks to one for each of the periods."""
    year = [backup(n, NOW + timedelta(days=n), proven=True) for n in range(365)]
    kept = [fate for fate in retained(year, Retention(daily=7, weekly=5, monthly=12)) if not fate.goes]
    assert len(kept) == 7 + 3 + 11
    assert kept[0].backup.id == year[-1].id


def test_the_last_proven_one_stays_though_it_is_old():
    """Newer backups that nobody has proven do not stand in for it."""
    old = backup(0, NOW, proven=True)
    newer = [backup(n, NOW + timedelta(days=100 + n)) for n in range(1, 20)]
    (fate,) = [f for f in retained([old, *newer], Retention(daily=3, weekly=0, monthly=0)) if f.backup.id == old.id]
    assert fate.reasons == ("last proven",)


def test_a_proven_one_is_kept_for_its_day_before_a_later_one():
    """What counts in a period is that it was restored."""
    proven, later = backup(1, NOW, proven=True), backup(2, NOW + timedelta(hours=1))
    newest = backup(3, NOW + timedelta(days=1))
    goes = [f.backup.id for f in retained([proven, later, newest], Retention(daily=2, weekly=0, monthly=0)) if f.goes]
    assert goes == [later.id]


def test_a_rule_that_keeps_nothing_is_refused():
    """Zero of everything is a mistake."""
    with pytest.raises(BadInput, match="keeps nothing"):
        Retention(daily=0, weekly=0, monthly=0)


class Keeping(RuleBasedStateMachine):
    """Backups are taken, proven, found damaged and let go, in any order and with any clock of the files."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.number = NOW, 0
        self.known: dict[str, Backup] = {}
        self.had_proven: set[tuple[str, bool]] = set()

    @initialize(hours=st.integers(1, 48))
    def begin(self, hours: int) -> None:
        self.take(hours=hours, system="1", of_files=False, incremental=False)

    @rule(
        hours=st.integers(0, 24 * 40), system=st.sampled_from("12"), of_files=st.booleans(), incremental=st.booleans()
    )
    def take(self, hours: int, system: str, of_files: bool, incremental: bool) -> None:
        self.now += timedelta(hours=hours)
        self.number += 1
        copies = [b for b in self.known.values() if b.manifest.kind.of_files and self._system(b) == system]
        parent = max(copies, key=lambda b: b.id).id if of_files and incremental and copies else None
        kind = (Kind.INCREMENTAL if parent else Kind.PHYSICAL) if of_files else Kind.LOGICAL
        made = backup(self.number, self.now, kind=kind, parent=parent, system=system)
        self.known[made.id] = made

    @rule(data=st.data(), proven=st.booleans())
    def drill(self, data: st.DataObject, proven: bool) -> None:
        chosen = self.known[data.draw(st.sampled_from(sorted(self.known)))]
        if not proven and chosen.proven_at and sum(map(self._proven_like(chosen), self.known.values())) == 1:
            return  # damage that takes the last proven one is no fault of retention
        manifest = chosen.manifest
        self.known[chosen.id] = backup(
            int(chosen.id), manifest.began_at, proven=proven, kind=manifest.kind, parent=manifest.parent,
            system=self._system(chosen),
        )  # fmt: skip

    @rule(daily=st.integers(0, 4), weekly=st.integers(0, 3), monthly=st.integers(0, 3))
    def retain(self, daily: int, weekly: int, monthly: int) -> None:
        if not daily + weekly + monthly:
            return
        fates = retained(self.known.values(), Retention(daily=daily, weekly=weekly, monthly=monthly))
        assert {fate.backup.id for fate in fates} == self.known.keys()
        for fate in fates:
            if fate.goes:
                del self.known[fate.backup.id]

    def _system(self, one: Backup) -> str:
        return str(one.manifest.source.system_identifier)

    def _proven_like(self, one: Backup):
        line = (self._system(one), one.manifest.kind.of_files)
        return lambda other: bool(other.proven_at) and (self._system(other), other.manifest.kind.of_files) == line

    @invariant()
    def a_proven_backup_is_left_of_each_system_that_had_one(self) -> None:
        now = {(self._system(b), b.manifest.kind.of_files) for b in self.known.values() if b.proven_at}
        assert self.had_proven <= now
        self.had_proven |= now

    @invariant()
    def nothing_is_cut_off_from_what_it_builds_upon(self) -> None:
        assert all(b.manifest.parent in self.known for b in self.known.values() if b.manifest.parent)

    @invariant()
    def the_newest_backup_is_there(self) -> None:
        assert not self.number or f"{self.number:026}" in self.known


TestKeeping = Keeping.TestCase
TestKeeping.settings = settings(
    max_examples=1_000 if WHOLE else 100, stateful_step_count=20, deadline=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
TestKeeping.__doc__ = "Sequences of backups, drills and retention: 1,000 with RUNBOOK_CRASH=whole."
