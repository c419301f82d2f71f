"""What a rollout tells people: each part of the way as a result."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ops_lib.model.finding import Finding, Remedy, Severity
from ops_lib.model.lint import Linted
from ops_lib.model.migration import Direction, Folder, Migration
from ops_lib.model.rehearsal import Rehearsal, Rehearsed, WayBack
from ops_lib.model.result import Metric, Result, Table
from ops_lib.model.rollout import Done
from ops_lib.model.times import format_seconds
from ops_lib.operations.migrations.course import Course

TARGET_SECONDS = {Direction.APPLY: 300, Direction.REVERT: 120}
"""Within which a rollout is to be done, by the service levels of the handbook."""

_MOST_FAULTS = 20
_DONE = {Direction.APPLY: "applied", Direction.REVERT: "reverted"}


def planned(
    folder: Folder, chosen: Sequence[Migration], course: Course, direction: Direction, drift: Mapping[str, Any] | None
) -> Result:
    """The files in their order, and what was odd."""
    rows = [(number, each.name, each.description, _said(each)) for number, each in enumerate(chosen, start=1)]
    todo = f"{_files(len(chosen))} of {folder.path} ({folder.layout}) to be {_DONE[direction]}."
    verdict = todo if chosen else f"Nothing to do: the database has had all of {folder.path}."
    return Result(
        title="Plan",
        verdict=" ".join((verdict, *_oddities(course), *_drifted(drift))),
        table=Table.of(("number", "file", "what", "said in its header"), rows) if rows else None,
        notes=() if drift else ("no earlier run has recorded this schema: drift cannot be told",),
    )


def _said(migration: Migration) -> str:
    header = migration.header
    said = [f"by {header.author}" if header.author else "", "breaking" if header.breaking else ""]
    said += [f"affects {', '.join(header.affects)}" if header.affects else ""]
    return "; ".join(filter(None, said))


def _oddities(course: Course) -> tuple[str, ...]:
    told = []
    if course.orphaned:
        told.append(f"The database has had what the folder has no file for: {_some(course.orphaned)}.")
    if course.overtaken:
        told.append(f"Older than what was applied already: {_some(course.overtaken)}.")
    return tuple(told)


def _drifted(drift: Mapping[str, Any] | None) -> tuple[str, ...]:
    if drift is None:
        return ()
    if not drift["changes"]:
        return (f"The schema is as run {drift['run_id']} left it.",)
    return (f"Changed by another way since run {drift['run_id']}: {_some(drift['changes'])}.",)


def linted(found: Sequence[Linted], attached: Sequence[str]) -> Result:
    """What the lint says, each remark a finding, and where the safe files are."""
    remarks = [(each.file.name, finding) for each in found for finding in each.findings]
    remarks.sort(key=lambda pair: -pair[1].severity.weight)
    alarms = [pair for pair in remarks if pair[1].severity is not Severity.INFO]
    rows = [
        (f"{file}:{each.line}", each.severity.value, each.lock, each.subject, each.summary) for file, each in alarms
    ]
    critical = sum(each.severity is Severity.CRITICAL for _, each in alarms)
    verdict = f"{len(alarms)} remarks, {critical} of them critical" if alarms else "Nothing that anybody would notice"
    style = len(remarks) - len(alarms)
    return Result(
        title="Lint",
        verdict=f"{verdict}{f', and {style} about style' if style else ''}.",
        findings=tuple(_unsafe(file, each) for file, each in alarms),
        table=Table.of(("where", "severity", "lock", "subject", "what"), rows) if rows else None,
        next_step=f"Use these files in their place; they are attached: {_some(attached)}." if attached else None,
    )


def _unsafe(file: str, remark: Any) -> Finding:
    return Finding(
        check=f"migration_lint/{remark.rule}/{file}/{remark.line}",
        subject=remark.subject,
        severity=remark.severity,
        cause="unsafe-migration",
        summary=remark.summary,
        remedy=Remedy(text=remark.remedy),
        evidence={"file": file, "line": remark.line, "lock": remark.lock, "said": remark.summary},
    )


def rehearsed(done: Rehearsal, repeated: Collection[str], on: str, seconds: float) -> Result:
    """What happened on the copy. Repeated files have no way back, and nobody misses one."""
    rows = [_on_copy(each) for each in done.files]
    faults = [_not_back(each) for each in done.files if each.version not in repeated and _is_a_fault(each)]
    unproven = [_unproven(each) for each in done.files if each.verified is False]
    ways = f"{len(faults)} without a way back that leads back" if faults else "and every way back leads back"
    went = "forward, back and forward again" if done.direction is Direction.APPLY else "back and forward again"
    again = tuple(f"Done a second time it is not the same: {text}." for text in done.again)
    changes = f" What changes: {_some(done.changes, 12)}." if done.changes else " The schema is the same afterwards."
    return Result(
        title="Rehearsal",
        verdict=f"{_files(len(rows))} went {went} on {on}, {ways}.{changes}",
        findings=(*unproven, *faults[:_MOST_FAULTS]),
        table=Table.of(("file", "took", "locks", "rewrites", "way back", "leads back"), rows),
        metrics={"rehearsal": Metric(value=round(seconds, 3), unit="s")},
        notes=again,
    )


def _on_copy(each: Rehearsed) -> tuple[Any, ...]:
    strongest = ", ".join(f"{lock.mode} on {lock.relation}" for lock in each.locks[:3])
    known = {True: "yes", False: "no", None: "not tried"}
    return (each.name, format_seconds(each.seconds), strongest, ", ".join(each.rewrites), each.revert.value,
            known[each.restored])  # fmt: skip


def _unproven(each: Rehearsed) -> Finding:
    return Finding(
        check=f"migration_verify/{each.name}",
        subject="database",
        severity=Severity.WARNING,
        cause="unproven-migration",
        summary=f"its verify file says no on the copy: {each.problem}",
        remedy=Remedy(
            text="see whether it asks for rows that the copy has not; otherwise it will fail after the change"
        ),
        evidence={"file": each.name, "problem": each.problem},
    )


def _is_a_fault(each: Rehearsed) -> bool:
    """What was not tried, since the way back of a later one had ended, is no fault of its own."""
    return each.restored is False or (each.restored is None and each.revert is WayBack.NONE)


def _not_back(each: Rehearsed) -> Finding:
    told = "; ".join(each.difference[:5])
    lost = each.revert is WayBack.NONE
    text = each.needs or ("write a .revert.sql beside it" if lost else "mend its way back")
    return Finding(
        check=f"migration_rehearsal/{each.name}",
        subject="database",
        severity=Severity.WARNING,
        cause="irreversible-migration",
        summary=f"{each.name} {'has no way back' if lost else 'does not lead back'}{f': {told}' if told else ''}",
        remedy=Remedy(text=text),
        evidence={"file": each.name, "way_back": each.revert.value, "difference": list(each.difference)},
    )


def applied(done: Sequence[Done], direction: Direction) -> Result:
    """What it took, and why it took longer than it should, where it did."""
    total = sum(each.seconds for each in done)
    worst = max((each.blocked_s for each in done), default=0.0)
    rows = [
        (each.name, "before" if each.found else format_seconds(each.seconds), each.attempts,
         format_seconds(each.held_s), format_seconds(each.blocked_s), "; ".join(each.ended))
        for each in done
    ]  # fmt: skip
    unseen = tuple(dict.fromkeys(text for each in done for text in each.unseen))
    return Result(
        title="Apply" if direction is Direction.APPLY else "Revert",
        verdict=f"{_files(len(done))} {_DONE[direction]} in {format_seconds(total)}; "
        f"the longest that anybody was seen to wait behind it: {format_seconds(worst)}.",
        table=Table.of(("file", "took", "attempts", "held its locks", "others waited", "ended"), rows),
        metrics={"migration": Metric(value=round(total, 3), unit="s"), "waited": Metric(value=worst, unit="s")},
        notes=(*_too_long(done, total, direction), *unseen),
    )


def done_json(done: Sequence[Done]) -> list[dict[str, Any]]:
    """What was done as the answer of a step."""
    lists = ("ended", "unseen")
    return [
        {**{name: getattr(each, name) for name in each.__slots__}, "direction": each.direction.value,
         **{name: round(getattr(each, name), 4) for name in ("seconds", "held_s", "blocked_s")},
         **{name: list(getattr(each, name)) for name in lists}}
        for each in done
    ]  # fmt: skip


def done_from(answer: Sequence[Mapping[str, Any]]) -> list[Done]:
    """What was done, from the answer of a step."""
    return [
        Done(**{**each, "direction": Direction(each["direction"]), "ended": tuple(each["ended"]),
                "unseen": tuple(each["unseen"])})
        for each in answer
    ]  # fmt: skip


def _too_long(done: Sequence[Done], total: float, direction: Direction) -> tuple[str, ...]:
    wanted = TARGET_SECONDS[direction]
    if total <= wanted:
        return ()
    slowest = max(done, key=lambda each: each.seconds)
    why = f"{slowest.attempts} attempts at its locks" if slowest.attempts > 1 else "its statements"
    return (f"Over {wanted} s: {slowest.name} took {format_seconds(slowest.seconds)} of it, for {why}.",)


def handed_off(made: Sequence[Mapping[str, Any]], changelog: Sequence[str]) -> Result:
    """To whom a message went, and what it says."""
    teams = ", ".join(each["to"] for each in made)
    first = made[0]["message"]
    rows = [*first["context"].items(), *((name, first[name]) for name in ("action_required", "revert"))]
    rows.append(("changelog", list(changelog)))
    return Result(
        title="Hand off",
        verdict=f"{first['trigger']} goes to {teams}, and is owed until it is acknowledged.",
        table=Table.of(("what", "says"), [(name, _plainly(value)) for name, value in rows]),
        next_step="Once this run is sealed: runbook handoff list",
    )


def _plainly(value: Any) -> Any:
    return _some([str(each) for each in value], 8) if isinstance(value, list) else value


def undone(text: str, parameters: Mapping[str, Any]) -> Result:
    """How it is undone, or why it cannot be."""
    if not parameters:
        return Result(title="Undo", verdict=text)
    return Result(title="Undo", verdict="The same runbook goes back.", next_step=text)


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _some(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
