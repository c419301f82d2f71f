"""Rehearsals on a copy: forward, back and forward again, with the schema compared at each place.

Whatever database the login leads to is changed: it must be a copy of our own. Repeated migrations have no way back;
they are applied once, after all others, where they stand.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ops_lib.model.errors import OpsError, Refused
from ops_lib.model.migration import Direction, Migration, Script
from ops_lib.model.rehearsal import Rehearsal, Rehearsed, WayBack, sentences
from ops_lib.model.target import Login
from ops_lib.postgres.migrations.derive import Derivation
from ops_lib.postgres.migrations.schema import Schema, difference, dump
from ops_lib.postgres.migrations.trace import perform, session, traced, verify

Progress = Callable[[int, int, str], None]
CLOSELY = 25
"""Up to so many migrations the schema is looked at after each one; of more, only at both ends of the way back."""


@dataclass(kw_only=True, eq=False)
class _Stage:
    """The copy, who acts on it, and how far the rehearsal has come."""

    login: Login
    role: str | None
    leave_out: Sequence[str]
    progress: Progress
    total: int
    done: int = 0

    @property
    def actor(self) -> Login:
        return replace(self.login, role=self.role) if self.role else self.login

    def look(self) -> Schema:
        return dump(self.login, leave_out=self.leave_out)

    def tell(self, what: str) -> None:
        self.progress(self.done, self.total, what)
        self.done += 1

    def perform(self, script: Script) -> float:
        began = time.perf_counter()
        with session(self.actor) as opened:
            perform(opened, script)
        return round(time.perf_counter() - began, 6)


def rehearse(
    login: Login, migrations: Sequence[Migration], *, role: str | None = None, leave_out: Sequence[str] = (),
    progress: Progress | None = None,
) -> Rehearsal:  # fmt: skip
    """Pending migrations, applied in their order, reverted in the other, and applied again.

    The way back ends at the first migration without one, or whose way back does not lead back: for those before it,
    `restored` is None. An error, with file and line, where one cannot be applied at all. `role` is who acts, and
    `leave_out` are the tables of the history.
    """
    once = [each for each in migrations if not each.repeated]
    acts = 2 * len(once) + len(migrations)
    stage = _Stage(login=login, role=role, leave_out=leave_out, progress=progress or _unwatched, total=acts)
    closely = len(once) <= CLOSELY
    states, files, backs = [stage.look()], [], []
    for number, migration in enumerate(once, start=1):
        rehearsed, back = _forward(stage, migration)
        if closely or number == len(once):
            states.append(stage.look())
        files.append(rehearsed)
        backs.append(back)
    files, reached = (_back if closely else _back_together)(stage, files, backs, states)
    again = _again(stage, once[reached:], states[-1])
    repeated = [_forward(stage, each)[0] for each in migrations if each.repeated]
    end = stage.look() if repeated else states[-1]
    return _told(Direction.APPLY, [*files, *repeated], states[0], end, again)


def rehearse_revert(
    login: Login, migrations: Sequence[Migration], *, role: str | None = None, leave_out: Sequence[str] = (),
    progress: Progress | None = None,
) -> Rehearsal:  # fmt: skip
    """The way back as the change itself, the latest first: reverted, then applied again to what had been there.

    `restored` says whether applying a migration again led to the schema before its revert. Refused where one has no
    revert.
    """
    acts = 2 * len(migrations)
    stage = _Stage(login=login, role=role, leave_out=leave_out, progress=progress or _unwatched, total=acts)
    scripts = [_required(migration) for migration in migrations]
    states, files = [stage.look()], []
    for migration, script in zip(migrations, scripts, strict=True):
        stage.tell(f"reverting {migration.name}")
        statements = traced(stage.actor, script)
        name, version = migration.name, migration.version
        files.append(
            Rehearsed(name=name, version=version, digest=script.digest, statements=statements, revert=WayBack.FILE)
        )
        states.append(stage.look())
    for place in reversed(range(len(files))):
        files[place] = _returned(stage, files[place], migrations[place].up, states[place])
        if not files[place].restored:
            break
    again = () if all(each.restored for each in files) else ("not every migration can be applied again",)
    return _told(Direction.REVERT, files, states[0], states[-1], again)


def _told(
    direction: Direction, files: Sequence[Rehearsed], begin: Schema, end: Schema, again: tuple[str, ...]
) -> Rehearsal:  # fmt: skip
    changes = tuple(change.plainly() for change in difference(begin, end))
    return Rehearsal(direction=direction, files=tuple(files), digest=end.digest, changes=changes, again=again)


def _forward(stage: _Stage, migration: Migration) -> tuple[Rehearsed, Script | None]:
    """One migration applied and verified, and the way back from it. A repeated one has none."""
    stage.tell(f"applying {migration.name}")
    derivation = Derivation() if migration.down is None and not migration.repeated else None
    statements = traced(stage.actor, migration.up, derivation)
    problem = _problem(stage.actor, migration.verify)
    back = derivation.script(migration.up) if derivation else migration.down
    way = WayBack.NONE if back is None else WayBack.DERIVED if derivation else WayBack.FILE
    rehearsed = Rehearsed(
        name=migration.name, version=migration.version, digest=migration.up.digest, statements=statements, revert=way,
        verified=None if migration.verify is None else problem is None, problem=problem,
        derived=back.text if derivation and back else None, needs=_needs(migration, derivation, back),
    )  # fmt: skip
    return rehearsed, back


def _needs(migration: Migration, derivation: Derivation | None, back: Script | None) -> str | None:
    if back is not None:
        return None
    if derivation is None:
        return "the text that it replaces: apply that again"
    return f"{derivation.reason}: going back needs a revert file, or SOP-002 where data would be lost"


def _problem(login: Login, script: Script | None) -> str | None:
    if script is None:
        return None
    try:
        with session(login) as opened:
            return verify(opened, script)
    except OpsError as error:
        return str(error)


def _back(
    stage: _Stage, files: list[Rehearsed], backs: Sequence[Script | None], states: Sequence[Schema]
) -> tuple[list[Rehearsed], int]:
    """All of them on the way back, and how many still stand when it ends."""
    place = len(files)
    while place and (script := backs[place - 1]) is not None:
        stage.tell(f"reverting {files[place - 1].name}")
        files[place - 1] = tried = _returned(stage, files[place - 1], script, states[place - 1])
        place -= tried.revert_seconds is not None
        if not tried.restored:
            break
    for at in range(place):
        if files[at].restored is None:
            files[at] = replace(files[at], difference=("not tried, since the way back ends before it",))
    return files, place


def _back_together(
    stage: _Stage, files: list[Rehearsed], backs: Sequence[Script | None], states: Sequence[Schema]
) -> tuple[list[Rehearsed], int]:
    """The same for many, whose schema is compared once all of them are undone."""
    place = len(files)
    while place and (script := backs[place - 1]) is not None:
        stage.tell(f"reverting {files[place - 1].name}")
        try:
            seconds = stage.perform(script)
        except OpsError as error:
            files[place - 1] = replace(files[place - 1], restored=False, difference=(str(error),))
            break
        place -= 1
        files[place] = replace(files[place], revert_seconds=seconds)
    whole = place == 0
    wrong = sentences(difference(states[0], stage.look())) if whole else ("not compared, since the way back ends",)
    for at, each in enumerate(files):
        if each.restored is None:
            files[at] = replace(each, restored=not wrong if whole else None, difference=wrong)
    return files, place


def _returned(stage: _Stage, rehearsed: Rehearsed, script: Script, before: Schema) -> Rehearsed:
    """A migration whose script led, or should have led, to the schema that was there before."""
    try:
        seconds = stage.perform(script)
    except OpsError as error:
        return replace(rehearsed, restored=False, difference=(str(error),))
    wrong = sentences(difference(before, stage.look()))
    return replace(rehearsed, revert_seconds=seconds, restored=not wrong, difference=wrong)


def _again(stage: _Stage, migrations: Sequence[Migration], end: Schema) -> tuple[str, ...]:
    """How the schema differs when what had been undone is done once more."""
    try:
        for migration in migrations:
            stage.tell(f"applying {migration.name} again")
            stage.perform(migration.up)
    except OpsError as error:
        return (str(error),)
    return sentences(difference(end, stage.look())) if migrations else ()


def _required(migration: Migration) -> Script:
    if migration.down is None:
        raise Refused(f"{migration.name} has no revert", hint="write a revert file, or restore: SOP-002")
    return migration.down


def _unwatched(done: int, total: int, name: str) -> None:
    """Progress that nobody watches."""
