"""The course of a rollout: which migrations it brings, fixed when it is planned and the same when it is resumed."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ops_lib.model.errors import BadInput, Refused
from ops_lib.model.migration import (
    NOTHING,
    Applied,
    Direction,
    Folder,
    Migration,
    Script,
    edited,
    names,
    orphaned,
    overtaken,
    pending,
    to_revert,
)
from ops_lib.postgres.migrations.derive import derived as script


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The versions in the order in which they are done, a digest of what they say, and what was odd about the history.

    `before` is the last version that the database had, to which one goes back.
    """

    versions: tuple[str, ...]
    sha256: str
    before: str = NOTHING
    orphaned: tuple[str, ...] = ()
    overtaken: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "versions": list(self.versions), "sha256": self.sha256, "before": self.before,
            "orphaned": list(self.orphaned), "overtaken": list(self.overtaken),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Course":
        listed = ("versions", "orphaned", "overtaken")
        return cls(sha256=data["sha256"], before=data["before"], **{name: tuple(data[name]) for name in listed})


def choose(folder: Folder, history: Mapping[str, Applied], direction: Direction, to: str | None) -> Course:
    """What is to be done; Refused or BadInput where that is not as clear as it has to be."""
    changed = edited(folder, history)
    if changed:
        hint = "put it back as it was, and write the change as a new migration"
        raise Refused(f"changed after it was applied: {names(changed)}", hint=hint)
    if to not in {None, NOTHING} and to not in {each.version for each in folder.migrations}:
        known = ", ".join(each.version for each in folder.migrations[-3:])
        raise BadInput(f"there is no migration {to!r} in {folder.path}", hint=f"the last ones are {known}")
    had = [each.version for each in folder.migrations if each.version in history and not each.repeated]
    chosen = _back(folder, history, to) if direction is Direction.REVERT else _on(folder, history, to)
    return Course(
        versions=tuple(each.version for each in chosen),
        sha256=digest(chosen, direction),
        before=had[-1] if had else NOTHING,
        orphaned=tuple(each.version for each in orphaned(folder, history)),
        overtaken=tuple(each.name for each in overtaken(folder, history)),
    )


def _on(folder: Folder, history: Mapping[str, Applied], to: str | None) -> list[Migration]:
    todo = pending(folder, history)
    if to is None:
        return todo
    upto = [each.version for each in folder.migrations]
    return [each for each in todo if upto.index(each.version) <= upto.index(to)]


def _back(folder: Folder, history: Mapping[str, Applied], to: str | None) -> list[Migration]:
    if lost := orphaned(folder, history):
        what = f"the database has had what the folder has no file for: {', '.join(each.version for each in lost[:3])}"
        raise Refused(what, hint="going back beneath what nobody can read is refused; take the folder that has it")
    if to is None:
        raise BadInput("going back needs to know where to", hint="give the last version that shall stay: -p to=VERSION")
    if to != NOTHING and to not in history:
        raise BadInput(f"the database has not had {to}", hint="see: runbook migrations status")
    return to_revert(folder, history, to)


def require_still_so(course: Course, now: Course) -> None:
    """Refused where a database has gone another way since a course was planned; what is done of it is gone from it."""
    done = len(course.versions) - len(now.versions)
    if done < 0 or course.versions[done:] != now.versions or set(now.orphaned) - set(course.orphaned):
        what = "the database is not where it was when this was planned: somebody else has migrated it"
        raise Refused(what, hint="begin a new run, which plans and rehearses anew")


def chosen_of(course: Course, folder: Folder, direction: Direction) -> list[Migration]:
    """The migrations of a course; Refused where the files say something else than when it was planned."""
    by_version = {each.version: each for each in folder.migrations}
    found = [by_version[version] for version in course.versions if version in by_version]
    if digest(found, direction) != course.sha256:
        raise Refused("the files are not as they were when this run planned them", hint="begin a new run")
    return found


def with_ways_back(chosen: Sequence[Migration], derived: Mapping[str, str]) -> list[Migration]:
    """Migrations with the ways back that were derived for those that have no file for it."""
    known = {version: text for version, text in derived.items() if text}
    return [
        replace(each, down=script(each.up, known[each.version])) if each.version in known else each for each in chosen
    ]


def leads_back(folder: Folder, had: Mapping[str, Applied], chosen: Sequence[Migration], before: str) -> bool:
    """Whether going back to `before` undoes exactly these, once they are applied."""
    once = {each.version for each in chosen if not each.repeated}
    then = {**had, **{version: Applied(version=version) for version in once}}
    return bool(once) and {each.version for each in to_revert(folder, then, before)} == once


def script_of(migration: Migration, direction: Direction) -> Script | None:
    """What of a migration is done in a direction."""
    return migration.down if direction is Direction.REVERT else migration.up


def digest(chosen: Sequence[Migration], direction: Direction) -> str:
    """Of all that is done, in its order."""
    told = hashlib.sha256()
    for each in chosen:
        script = script_of(each, direction)
        told.update(f"{each.version}\0{script.digest if script else ''}\0".encode())
    return told.hexdigest()
