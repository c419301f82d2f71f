"""A rollout: migrations on their way into a database, or out of it, with proof of each part of the way.

    plan       which files, in which order, fixed for all runs of this chain
    lint       what they would lock or lose, and how to do it safely
    rehearse   on a copy: up, back, and up again
    apply      briefly, without anybody waiting long
    verify     their own proofs, the schema against that of the rehearsal, and the queries that touch it

Only `apply` and `verify` change the target, each in a step. What is read of it is read in a session that cannot write.
"""

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from ops_lib.model.errors import OpsError, Refused
from ops_lib.model.migration import Applied, Direction, Migration, Script
from ops_lib.model.plan import Plan
from ops_lib.model.rehearsal import Rehearsal
from ops_lib.model.result import Result
from ops_lib.model.rollout import Blocking, Limits
from ops_lib.model.target import Hazard, Login
from ops_lib.model.times import format_instant
from ops_lib.model.window import closes_at, opens_at
from ops_lib.operations import act
from ops_lib.operations.conversation import Conversation
from ops_lib.operations.hand_off import read as read_message
from ops_lib.operations.migrations import keepsake, proof, telling
from ops_lib.operations.migrations.beside import told_beside
from ops_lib.operations.migrations.course import (
    Course,
    choose,
    chosen_of,
    leads_back,
    require_still_so,
    script_of,
    with_ways_back,
)
from ops_lib.operations.migrations.message import changelog, message, teams
from ops_lib.operations.migrations.past import Past
from ops_lib.operations.migrations.rehearse import Stage, rehearse
from ops_lib.postgres.lint.lint import lint
from ops_lib.postgres.lint.use import table_use, tables
from ops_lib.postgres.migrations import aftermath, careful, trace
from ops_lib.postgres.migrations.copies import patiently
from ops_lib.postgres.migrations.files import read
from ops_lib.postgres.migrations.histories import history_of
from ops_lib.postgres.migrations.schema import Schema, difference, dump
from ops_lib.postgres.migrations.touched import Touched, touched
from ops_lib.postgres.session import Limits as Limit
from ops_lib.postgres.session import Session

Step = Callable[..., act.Done]
Tell = Callable[[str], None]
DUMP_LOCK_WAIT_MS = 500
VERIFY_LIMITS = Limit(statement_ms=300_000)
OWN = ("ops_runbooks.steps", "ops_runbooks.migration_parts", "ops_runbooks.backfills")
"""What runbooks keep in a target is no part of its schema."""


class Rollout:
    """What the noun `migration(...)` of a notebook stands for. `tell` is told how it goes on, line by line."""

    def __init__(
        self, database: Session, path: Path, run: Conversation, step: Step, *, direction: Direction, to: str | None,
        now: Callable[[], datetime], tell: Tell,
    ) -> None:  # fmt: skip
        self._run, self._step, self._now, self._tell = run, step, now, tell
        self._told = run.introduce()
        self._direction, self._to = direction, to
        self._reader, self._writer = _reader(database, self._told), _writer(database, self._told)
        self._folder = read(path)
        self._history = history_of(self._folder)
        self._had()
        done = step("plan", self._choose, probe=_never, elsewhere=True)
        self._planned_in = done.carried_from or self._told["run_id"]
        self._planned = keepsake.plan(self._archive, self._planned_in)
        self._course = Course.from_json(self._planned["course"])
        self._chosen = with_ways_back(chosen_of(self._course, self._folder, direction), self._planned["derived"])
        self._rehearsal: Rehearsal | None = None
        self._queries: list[dict[str, Any]] | None = None

    # -- plan ---------------------------------------------------------------------------------------------------------

    def _choose(self) -> dict[str, Any]:
        course = choose(self._folder, self._had(), self._direction, self._to)
        schema = self._schema()
        self._run.attach(keepsake.BEFORE, keepsake.packed(dict(schema.parts)))
        past = Past(archive=self._archive, runbook=self._told["runbook"], identity=self._reader.identity)
        last = past.drift(schema)
        chosen = chosen_of(course, self._folder, self._direction)
        lacking = {each.version: each.up.digest for each in chosen if each.down is None}
        derived = past.ways_back(lacking) if self._back else {}
        names = touched(self._scripts(with_ways_back(chosen, derived))).relations
        plan = {
            "course": course.to_json(),
            "drift": {"run_id": last[0], "changes": [each.plainly() for each in last[1]][:40]} if last else None,
            "derived": derived,
            "costs": aftermath.costs(self._reader, names),
        }
        self._run.attach(keepsake.PLAN, keepsake.packed(plan))
        return {"files": len(course.versions), "sha256": course.sha256}

    def shown(self) -> Result:
        """The files in their order, and what was odd."""
        return telling.planned(self._folder, self._chosen, self._course, self._direction, self._planned["drift"])

    @property
    def plan(self) -> Plan | None:
        """What is to be approved; nothing where there is nothing to do."""
        if not self._chosen:
            return None
        scripts = zip(self._chosen, self._scripts(self._chosen), strict=True)
        values = {"direction": self._direction.value, "files": {each.name: script.digest for each, script in scripts}}
        return Plan(title="Migration", statements=self._touches.statements, objects=self._touches.relations,
                    values=values)  # fmt: skip

    # -- lint and rehearsal -------------------------------------------------------------------------------------------

    def lint(self) -> Result:
        """What the files would lock or lose; their safe forms are attached."""
        scripts = self._scripts(self._chosen)
        found = lint(scripts, use=table_use(self._reader.connection, tables(scripts)), runner=True)
        safe = [file for each in found if each.alarms for file in each.safe]
        for file in safe:
            self._run.attach(keepsake.safe(file.name), file.text.encode())
        return telling.linted(found, [keepsake.safe(file.name) for file in safe])

    def rehearse(self, home: Path, server: str | None, backup: Path | None) -> Result:
        """Up, back and up again on a copy, kept as a step; Refused where it does not go up."""
        if not self._chosen:
            return Result(title="Rehearsal", verdict="There is nothing to rehearse.")
        done = self._step("rehearse", lambda: self._rehearse(home, server, backup), probe=_never, elsewhere=True)
        told = act.kept(done)
        self._rehearsal = keepsake.rehearsal(self._archive, done.carried_from or self._told["run_id"])
        repeated = {each.version for each in self._chosen if each.repeated}
        return telling.rehearsed(self._rehearsal, repeated, told["on"], told["seconds"])

    def _rehearse(self, home: Path, server: str | None, backup: Path | None) -> dict[str, Any]:
        began = time.monotonic()
        stage = Stage(
            source=self._reader.login, role=self._writer.login.role or self._writer.identity.user, home=home,
            leave_out=self._left_out, server=self._run.scratch(server) if server else None, backup=backup,
        )  # fmt: skip
        found = rehearse(stage, self._chosen, self._direction, self._tell)
        self._run.attach(keepsake.REHEARSAL, keepsake.packed(found.to_json()))
        return {"on": str(stage), "seconds": round(time.monotonic() - began, 3)}

    # -- apply --------------------------------------------------------------------------------------------------------

    def apply(self, patience: timedelta, *, end_blockers: bool, outside_windows: bool) -> Result:
        """Every file, in a step that can be interrupted anywhere and goes on where it was."""
        if not self._chosen:
            return Result(title="Apply", verdict="There is nothing to apply.")
        limits = Limits(patience_s=patience.total_seconds(), blocker=Blocking.END if end_blockers else Blocking.STOP)
        done = self._step("apply", lambda: self._apply(limits, outside_windows=outside_windows), probe=self._is_done)
        if done.answer is None or not done.whole:
            return Result(title="Apply", verdict=f"Done in run {done.carried_from}, as the history shows.")
        return telling.applied(telling.done_from(act.kept(done)), self._direction)

    def _apply(self, limits: Limits, *, outside_windows: bool) -> list[dict[str, Any]]:
        if self._rehearsal is None:
            raise Refused("this was not rehearsed", hint="rehearse it in a cell before this one")
        self._require_window(outside_windows=outside_windows)
        had = self._history.applied(self._writer.connection)
        require_still_so(self._course, choose(self._folder, had, self._direction, self._to))
        self._run.undo(*self._way_back())
        go = careful.revert if self._back else careful.apply
        with told_beside(self._writer):
            return telling.done_json(go(self._writer, self._chosen, self._history, limits=limits, tell=self._tell))

    def _require_window(self, *, outside_windows: bool) -> None:
        windows, now = self._told["windows"], self._now()
        if not windows or outside_windows or closes_at(windows, now):
            return
        opens = opens_at(windows, now)
        when = f"the next one opens at {format_instant(opens)}" if opens else "none opens within a week"
        hint = f"{when}; to do it now, begin a run with -p outside_windows=true, which has to be approved as such"
        raise Refused(f"no maintenance window of {self._told['target']} is open ({'; '.join(windows)})", hint=hint)

    def _is_done(self) -> bool:
        had = self._had()
        if self._back:
            return not any(each.version in had for each in self._chosen)
        return all(
            each.version in had and (not each.repeated or had[each.version].checksum == each.checksum)
            for each in self._chosen
        )

    # -- afterwards ---------------------------------------------------------------------------------------------------

    def verify(self) -> Result:
        """Whether it did what it was to do, and nothing else; OpsError where a verify file says no."""
        if not self._chosen:
            return Result(title="Verify", verdict="There is nothing to verify.")
        verified = self._verified()
        found = aftermath.relations(self._reader, self._touches.relations)
        done = self._step("analyze", lambda: aftermath.analyze(self._writer, [each for each in found if each.analyzed]),
                          probe=_never)  # fmt: skip
        before, after = self._planned["costs"], aftermath.costs(self._reader, self._touches.relations)
        self._queries = None if before is None or after is None else aftermath.compared(before, after)
        return proof.proven(
            verified=verified,
            different=self._different(),
            invalid=aftermath.invalid(self._reader, found),
            views=aftermath.broken_views(self._reader, found),
            analyzed=act.kept(done),
            queries=self._queries,
        )

    def _verified(self) -> int:
        scripts = [each.verify for each in self._chosen if each.verify] if not self._back else []
        with self._reader.bounded(VERIFY_LIMITS):
            for script in scripts:
                if wrong := trace.verify(self._reader.connection, script):
                    raise OpsError(wrong, hint="the migration is applied; see what it left, or go back")
        return len(scripts)

    def _different(self) -> list[str] | None:
        """How what changed is another than what changed in the rehearsal; nothing where that is not known."""
        after = self._schema()
        self._run.attach(keepsake.AFTER, keepsake.packed(dict(after.parts)))
        before = keepsake.schema(self._archive, self._planned_in, keepsake.BEFORE)
        if before is None or self._rehearsal is None:
            return None
        changed = {each.plainly() for each in difference(before, after)}
        expected = set(self._rehearsal.changes)
        missing, more = sorted(expected - changed), sorted(changed - expected)
        return [*(f"not so: {text}" for text in missing), *(f"besides: {text}" for text in more)]

    def undo(self) -> Result:
        """How it is undone."""
        if not self._chosen:
            return Result(title="Undo", verdict="There is nothing to undo.")
        return telling.undone(*self._way_back())

    def _way_back(self) -> tuple[str, Mapping[str, Any]]:
        """How it is undone, as a command, and its parameters; or why this runbook cannot, and none."""
        if why := self._no_way_back():
            return f"There is no way back by this runbook: {why}.", {}
        direction, to = ("apply", self._chosen[0].version) if self._back else ("revert", self._course.before)
        parameters = {"migrations": str(self._folder.path), "direction": direction, "to": to}
        given = [word for name, value in parameters.items() for word in ("-p", f"{name}={value}")]
        command = ["runbook", "run", self._told["runbook"], *given, "--target", self._told["target"]]
        return shlex.join(command), parameters

    def _no_way_back(self) -> str | None:
        if self._back:
            return None
        if not leads_back(self._folder, self._had(), self._chosen, self._course.before):
            return "what was applied is not the last of its history, or is repeated"
        proven = {each.version for each in self._rehearsal.files if each.restored} if self._rehearsal else set()
        lost = [each.name for each in self._chosen if not each.repeated and each.version not in proven]
        return f"{lost[0]} does not lead back; what it lost, only a backup has" if lost else None

    def hand_off(self) -> Result:
        """What was done, handed to each team that wants to be told, and a line for the changelog of each file."""
        if not self._chosen:
            return Result(title="Hand off", verdict="There is nothing to hand off.")
        impact = proof.performance(self._queries)
        told = message(self._chosen, self._direction, self._touches, impact, self._way_back()[0])
        made = [self._run.handoff(read_message(told, team)) for team in teams(self._chosen)]
        lines = changelog(self._chosen, self._direction, format_instant(self._now()), self._told)
        self._run.attach(keepsake.CHANGELOG, "".join(f"{line}\n" for line in lines).encode())
        return telling.handed_off(made, lines)

    # -- what the parts share -----------------------------------------------------------------------------------------

    @cached_property
    def _touches(self) -> Touched:
        return touched(self._scripts(self._chosen))

    @property
    def _back(self) -> bool:
        return self._direction is Direction.REVERT

    @property
    def _archive(self) -> Path:
        return Path(self._told["archive"])

    @property
    def _left_out(self) -> tuple[str, ...]:
        return (self._history.table, *OWN)

    def _had(self) -> dict[str, Applied]:
        return self._history.applied(self._reader.connection)

    def _schema(self) -> Schema:
        return patiently(lambda: dump(self._reader.login, leave_out=self._left_out, lock_wait_ms=DUMP_LOCK_WAIT_MS))

    def _scripts(self, chosen: Sequence[Migration]) -> list[Script]:
        found = [(each, script_of(each, self._direction)) for each in chosen]
        for each, script in found:
            if script is None:
                hint = "write its revert file; where it has lost data, restore a backup (SOP-002)"
                raise Refused(f"{each.name} has no way back", hint=hint)
        return [script for _, script in found if script]


def _reader(database: Session, told: Mapping[str, Any]) -> Session:
    """A session that cannot write, as the role of investigations where the target has one."""
    login = Login.from_json(told["reader"])
    return replace(database, login=login, hazard=Hazard.READ_ONLY)


def _writer(database: Session, told: Mapping[str, Any]) -> Session:
    """A session whose new objects belong to the owner of the others."""
    role = told["owner"] or database.login.role
    return replace(database, login=replace(database.login, role=role))


def _never() -> bool:
    """Whether a step that left nothing behind has had its effect."""
    return False
