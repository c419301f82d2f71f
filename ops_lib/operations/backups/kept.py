"""The word `backups`: what a runbook may do with the backups of a repository."""

import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Generic, TypeVar

from ops_lib.model.advance import Advance
from ops_lib.model.backup import Backup, Kind
from ops_lib.model.drill import Drill
from ops_lib.model.errors import BadInput
from ops_lib.model.result import Result
from ops_lib.model.retention import Retention
from ops_lib.operations.backups import results
from ops_lib.operations.backups.back_up import Order, back_up
from ops_lib.operations.backups.drill import drill
from ops_lib.operations.backups.examination import Question
from ops_lib.operations.backups.retain import retain
from ops_lib.operations.backups.shelf import Shelf
from ops_lib.postgres.backups.wal import archived_to
from ops_lib.postgres.session import Session

T = TypeVar("T")
Picture = Callable[[list[tuple[str, Drill]]], bytes | None]
NEWEST = "newest"
_TOLD_EVERY = 15.0


class Kept(Generic[T]):
    """The backups of a repository. `show` makes of a result what a cell answers, and `keep` a file of the record."""

    def __init__(
        self, shelf: Shelf, database: Session | None, *, show: Callable[[Result], T],
        keep: Callable[[str, bytes], None], draw: Picture, say: Callable[[str], object],
    ) -> None:  # fmt: skip
        self._shelf, self._database = shelf, database
        self._show, self._keep, self._draw, self._say = show, keep, draw, say
        self._told = 0.0

    def overview(self, *, every: timedelta | None = None) -> T:
        """What is kept and how much could be lost; `every` is how often a backup is taken."""
        repository = self._shelf.repository
        known = repository.backups()
        archives = [archived_to(folder) for folder in repository.wal("").glob("*")]
        return self._show(
            results.overview(
                known,
                now=self._shelf.clock(),
                every=every,
                missing=repository.missing(),
                unreadable=[folder.name for folder in repository.unreadable()],
                archived_to=max((at for at in archives if at), default=None),
            )
        )

    def take(self, kind: str = Kind.LOGICAL.value, *, passwords: bool = False) -> T:
        """Take a backup of the database, or of its cluster."""
        if self._database is None:
            raise BadInput("no database was given to take a backup of", hint="write backups(target())")
        began = time.monotonic()
        order = Order(target=self._database.name, kind=Kind(kind), passwords=passwords)
        made = back_up(self._shelf, self._database.login, order, self._advance)
        return self._show(results.taken(made, round(time.monotonic() - began, 3)))

    def drill(self, which: str = "last", *, fresh: timedelta | None = None, trust: bool = False) -> T:
        """Restore backups and prove them: the last, the newest of each target and kind, or the one of a name."""
        question = Question(fresh=fresh, trust=trust)
        done = {}
        for folder in self._chosen(which):
            told = drill(self._shelf, folder, question, self._advance)
            self._keep(f"proof-{folder.name}.json", json.dumps(told.to_json(), indent=1).encode())
            done[folder.name] = told
        return self._show(results.drilled(done))

    def retain(self, *, daily: int = 7, weekly: int = 5, monthly: int = 12, remove: bool = False) -> T:
        """Which backups stay by counts of days, weeks and months; the others go where `remove` says so."""
        rule = Retention(daily=daily, weekly=weekly, monthly=monthly)
        return self._show(results.fates(retain(self._shelf, rule, remove=remove), removed=remove))

    def trend(self) -> T:
        """Recovery time and recovery point of every drill that was recorded."""
        drills = self._shelf.repository.drills()
        return self._show(results.trend(drills, self._draw(drills)))

    def _chosen(self, which: str) -> list[Path]:
        repository = self._shelf.repository
        if which == NEWEST:
            lines: dict[tuple[str, bool], Backup] = {}
            for backup in repository.backups():
                lines.setdefault((backup.manifest.target, backup.manifest.kind.of_files), backup)
            return [repository.folder(backup) for backup in lines.values()]
        path = Path(which)
        return [path] if path.is_dir() else [repository.folder(repository.find(which))]

    def _advance(self, advance: Advance) -> None:
        """Says how far it is, now and then."""
        now = time.monotonic()
        if now - self._told > _TOLD_EVERY:
            self._told = now
            self._say(f"{advance}\n")
