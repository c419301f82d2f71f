"""The audit of a whole history: each file goes up, down and up again at its own place, and the schema is compared.

The main line only goes up, so that a broken way back spoils nothing that comes after it. The way down is tried on a
copy of it, which goes along as long as every way back leads back and no rows are lost on it; then another is made. A
file that reaches beyond its database, to a role say, goes down and up on the main line itself, since one server cannot
have the role twice; where it leaves a mess, the line is built anew.

A long history is done in two halves at the same time, each on a server of its own. Repeated files (functions, views,
R__) have no place in the order and no way back: they are left out. A file that does not apply leaves the others to go
on.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ops_lib.model.errors import OpsError, Refused
from ops_lib.model.migration import Folder, Migration, Script
from ops_lib.model.rehearsal import Audited, Change, Verdict, sentences
from ops_lib.model.target import Login
from ops_lib.postgres.migrations.files import read
from ops_lib.postgres.migrations.histories import history_of
from ops_lib.postgres.migrations.reach import extensions, loses_rows, reach
from ops_lib.postgres.migrations.schema import Schema, difference, dump
from ops_lib.postgres.migrations.scratch import Scratch, require_extensions, scratch
from ops_lib.postgres.migrations.trace import perform, session

Progress = Callable[[int, int, str], None]
_WORTH_HALVING = 50


def audit(
    path: Path, *, home: Path, scratch_login: Login | None = None, progress: Progress | None = None
) -> list[Audited]:
    """What is to be said of each file of a folder, in their order.

    On servers of its own below `home`, or on the one that `scratch_login` leads to. Refused where that lacks an
    extension that a file makes. `progress` is told how many files are done, of how many, and which one was the last.
    """
    folder = read(path)
    migrations = [each for each in folder.migrations if not each.repeated]
    told = _Told(total=len(migrations), progress=progress or _unwatched)
    half = len(migrations) // 2 if len(migrations) >= _WORTH_HALVING and scratch_login is None else 0
    halves = [(0, half), (half, len(migrations))] if half else [(0, len(migrations))]

    def walk(begin: int, end: int) -> list[Audited]:
        with scratch(scratch_login, home) as place:
            _prepare(place, migrations)
            line = _Line(folder=folder, place=place)
            line.catch_up(migrations[:begin])
            return [told.of(migration, *line.judge(migration)) for migration in migrations[begin:end]]

    with ThreadPoolExecutor(len(halves), thread_name_prefix="audit") as pool:
        walks = [pool.submit(walk, *each) for each in halves]
        try:
            return [audited for each in walks for audited in each.result()]
        finally:
            told.over = True


@dataclass(kw_only=True, eq=False)
class _Told:
    """How far the audit has come, told by one thread at a time; Refused to all once it is over for one of them."""

    total: int
    progress: Progress
    done: int = 0
    over: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, migration: Migration, verdict: Verdict, detail: str) -> Audited:
        with self.lock:
            if self.over:
                raise Refused("the audit was ended")
            self.done += 1
            self.progress(self.done, self.total, migration.name)
        return Audited(file=migration.name, verdict=verdict, detail=detail)


_Judged = tuple[Verdict, str]


class _Line:
    """The main line, on which every file that applies has been applied; its copy; and its schema, where it is known."""

    def __init__(self, *, folder: Folder, place: Scratch) -> None:
        self._place, self._history = place, history_of(folder)
        self._applied: list[Migration] = []
        self._main = self._begin()
        self._copy: str | None = None
        self._schema: Schema | None = None

    def catch_up(self, migrations: Sequence[Migration]) -> None:
        """Files that somebody else judges, up only."""
        for migration in migrations:
            if self._failure(self._main, migration.up) is None:
                self._applied.append(migration)

    def judge(self, migration: Migration) -> _Judged:
        """One file gone up, down and up, and up on the main line."""
        beyond = any(reach(script) for script in (migration.up, migration.down) if script)
        before = self._seen() if migration.down else None
        if beyond:
            self._part_with_copy()
        if wrong := self._failure(self._main, migration.up):
            self._part_with_copy()
            self._schema = None
            return Verdict.APPLY_FAILS, wrong
        self._applied.append(migration)
        self._schema = None
        if migration.down is None or before is None:
            self._take_along(migration)
            return Verdict.NO_REVERT, ""
        if beyond:
            return self._judge_in_place(migration, migration.down, before)
        return self._judge_on_copy(migration, migration.down, before)

    def _judge_on_copy(self, migration: Migration, down: Script, before: Schema) -> _Judged:
        self._take_along(migration)
        if self._copy is None:
            self._copy = self._place.copy(self._main)
        verdict, detail = self._way_back(self._copy, migration.up, down, before)
        lost = loses_rows(migration.up) and self._place.has_rows(self._main)
        if verdict is not Verdict.REVERSIBLE or lost:
            self._part_with_copy()
        return verdict, detail

    def _judge_in_place(self, migration: Migration, down: Script, before: Schema) -> _Judged:
        verdict, detail = self._way_back(self._main, migration.up, down, before)
        if verdict is not Verdict.REVERSIBLE:
            self._build_anew()
        return verdict, detail

    def _way_back(self, name: str, up: Script, down: Script, before: Schema) -> _Judged:
        """Down and up again in a database that is as the file has left it; its schema is known if all goes well."""
        if wrong := self._failure(name, down):
            return Verdict.REVERT_FAILS, wrong
        if left := difference(before, self._look(name)):
            return Verdict.NOT_RESTORED, _sentence(left)
        if wrong := self._failure(name, up):
            return Verdict.NOT_RESTORED, f"cannot be applied again: {wrong}"
        self._schema = self._look(name)
        return Verdict.REVERSIBLE, ""

    def _take_along(self, migration: Migration) -> None:
        """Brings the copy, where there is one, as far as the main line is."""
        if self._copy and self._failure(self._copy, migration.up):
            self._part_with_copy()

    def _part_with_copy(self) -> None:
        if self._copy:
            self._place.drop(self._copy)
        self._copy = None

    def _build_anew(self) -> None:
        """The main line again from its beginning, without roles that a way back has left."""
        self._place.drop(self._main)
        self._place.forget()
        self._main = self._begin()
        for migration in self._applied:
            self._failure(self._main, migration.up)

    def _begin(self) -> str:
        name = self._place.database()
        with session(self._place.login(name)) as opened:
            self._history.prepare(opened)
        return name

    def _seen(self) -> Schema:
        return self._schema or self._look(self._main)

    def _look(self, name: str) -> Schema:
        return dump(self._place.login(name), leave_out=(self._history.table,))

    def _failure(self, name: str, script: Script) -> str | None:
        """What the server says against a script, with its line, or nothing; Refused where the server is gone."""
        try:
            with session(self._place.login(name)) as opened:
                perform(opened, script)
        except Refused:
            raise
        except OpsError as error:
            return str(error)
        return None


def _prepare(place: Scratch, migrations: Sequence[Migration]) -> None:
    """Refused where the files need what the server has not, or would harm what others have on it."""
    require_extensions(place, extensions(each.up for each in migrations))
    place.admit([script for each in migrations for script in (each.up, each.down) if script])


def _sentence(changes: Sequence[Change]) -> str:
    return "; ".join(sentences(changes))


def _unwatched(done: int, total: int, name: str) -> None:
    """Progress that nobody watches."""
