"""The words that a cell of a runbook may say: `from ops_lib.runbook import *`.

The list is closed; docs/words.md describes it. A word that answers something answers a result, which shows itself when
it is the last expression of its cell, and is recorded because it is shown.
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ops_lib import wiring
from ops_lib.model.errors import BadInput, Refused
from ops_lib.model.finding import roots
from ops_lib.model.plan import Plan
from ops_lib.model.result import Metric, Result, Table
from ops_lib.model.snapshot import Snapshot
from ops_lib.model.target import Hazard, Login
from ops_lib.model.times import format_instant, format_seconds
from ops_lib.operations import diagnose, hand_off, planning, snapshots
from ops_lib.operations.act import Act, Done, Work, kept, sentence
from ops_lib.postgres.effects import Transaction
from ops_lib.postgres.session import Session, application_name, select_from
from ops_lib.postgres.snapshot import take

if TYPE_CHECKING:
    import pandas as pd

    from ops_lib.model.drill import Drill
    from ops_lib.operations.backups.kept import Kept
    from ops_lib.operations.migrations.rollout import Rollout

FRAME_ROWS = 10_000

__all__ = [
    "Literal", "approved", "attach", "backups", "check", "compare", "date", "datetime", "frame", "handoff", "migration",
    "note", "plan", "require", "seal", "secret", "show", "snapshot", "step", "target", "timedelta", "verdict",
]  # fmt: skip


class Shown:
    """A result that shows itself in a notebook."""

    def __init__(self, result: Result) -> None:
        self.result = result
        wiring.conversation().shown(result)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        from ops_lib.notebooks.display import mimebundle  # noqa: PLC0415

        return mimebundle(self.result)


@cache
def target() -> Session:
    """The database that this run was given. It is connected to when it is first asked something."""
    told = wiring.conversation().introduce()
    if told["login"] is None:
        raise BadInput("this runbook has no target", hint="write needs: [target:postgres] into its front matter")
    return Session(
        name=told["target"],
        login=Login.from_json(told["login"]),
        application_name=application_name(told["runbook"], told["run_id"]),
        hazard=Hazard(told["hazard"]),
        on_statement=wiring.conversation().statement,
    )


def check(database: Session, question: str) -> Shown:
    """Ask one question of the catalogue: what is wrong, the rows that prove it, and what to do about it."""
    experiments = wiring.conversation().scratch() if question == "missing_indexes" else None
    memory = _memory()
    result = diagnose.ask(
        database, question, now=_now(), baseline=memory.baseline(), newest=memory.newest(), scratch=experiments
    )
    return Shown(replace(result, picture=_picture(database)) if question == "queries" else result)


def compare(database: Session, *, since: datetime | None = None) -> Shown:
    """What is different from a snapshot of when it was well, and keep one of now for the next comparison.

    `since` is when it was well; without it the oldest snapshot of the last seven days counts.
    """
    memory = _memory()
    memory.since = since
    baseline, present = memory.baseline(), take(database, _now())
    wiring.conversation().attach(snapshots.NAME, present.to_bytes())
    if baseline is None:
        sentence = "There is nothing to compare with yet: no snapshot was kept before. The first was taken now."
        return Shown(Result(title=diagnose.CHANGED_TITLE, verdict=sentence, notes=("no earlier snapshot was kept",)))
    return Shown(diagnose.changed(database, baseline, present))


def frame(database: Session, what: str) -> "pd.DataFrame":
    """Rows as a pandas frame: of a relation (`mart.game_summary`, its first 10,000 rows), or of a `.sql` file."""
    if what.endswith(".sql"):
        return database.frame(Path(what).read_text(encoding="utf-8"))
    return database.frame(select_from(what, limit=FRAME_ROWS))


def show(value: Any) -> Shown:
    """A frame, a list of rows or a sentence as a result, with at most 20 rows and the total stated."""
    if isinstance(value, Shown):
        return value
    if hasattr(value, "itertuples"):
        rows = [tuple(map(_plain, row)) for row in value.itertuples(index=False)]
        table = Table.of([str(column) for column in value.columns], rows)
        return Shown(Result(title="Rows", verdict=f"{len(rows)} rows.", table=table))
    return Shown(Result(title="Note", verdict=str(value)))


def snapshot(database: Session) -> Shown:
    """Take a snapshot of the database's catalog and statistics, and keep it with the record of this run."""
    began = time.monotonic()
    taken = take(database, _now())
    seconds = time.monotonic() - began
    wiring.conversation().attach(snapshots.NAME, taken.to_bytes())
    sentence = (
        f"{len(taken.tables)} tables, {len(taken.indexes)} indexes and {len(taken.statements or ())} statements "
        f"as of {format_instant(taken.taken_at)}, in {format_seconds(seconds)}."
    )
    return Shown(Result(title="Snapshot", verdict=sentence, metrics={"snapshot": Metric(value=seconds, unit="s")}))


def backups(database: Session | None = None, *, to: str = "") -> "Kept[Shown]":
    """The backups beside the archive, or in another folder; without a database none can be taken."""
    from ops_lib.operations.backups.kept import Kept  # noqa: PLC0415

    keep, shelf = wiring.conversation().attach, wiring.shelf(_archive(), Path(to) if to else None)
    return Kept(shelf, database, show=Shown, keep=keep, draw=_trend, say=sys.stdout.write)


def require(condition: object, sentence: str) -> Shown:
    """Goes on only where a condition holds; where it does not, the run is refused with the sentence."""
    if not condition:
        raise Refused(f"a precondition does not hold: {sentence}")
    return Shown(Result(title="Precondition", verdict=f"Holds: {sentence}"))


def note(text: str) -> Shown:
    """A remark of the person at the keyboard, for the record."""
    wiring.conversation().note(text)
    return Shown(Result(title="Note", verdict=text))


def attach(name: str, content: str | bytes) -> Shown:
    """Keep a file beside the record."""
    raw = content.encode() if isinstance(content, str) else content
    wiring.conversation().attach(name, raw)
    return Shown(Result(title="Attachment", verdict=f"{name} ({len(raw)} bytes) is kept with the record."))


def handoff(message: Mapping[str, Any] | str, *, to: str | None = None) -> Shown:
    """Hand a message to another team, once however often the run is resumed; it is owed until it is acknowledged."""
    run = wiring.conversation()
    return Shown(hand_off.shown(run.handoff(hand_off.read(message, to)), run.introduce()["run_id"]))


def seal() -> Shown:
    """This run is done: in JupyterLab its record is made once this cell has ended. A headless run ends by itself."""
    run_id = wiring.conversation().seal()
    return Shown(Result(title="Seal", verdict=f"The record is made: runbook record {run_id}"))


def secret(value: str) -> str:
    """The same value, made known first to what hides secrets from the record."""
    wiring.conversation().secret(value)
    return value


def plan(*what: str, title: str = "Plan", values: Mapping[str, Any] | None = None) -> "Planned":
    """What a change would do: statements, or `.sql` files of some, in the order in which `apply` sends them."""
    return Planned(planning.planned(what, title=title, values=values or {}))


class Planned(Shown):
    """A plan that shows itself. `apply` is an action for `step`: all of it in one transaction."""

    def __init__(self, made: Plan) -> None:
        super().__init__(planning.shown(made))
        self.plan = made

    def apply(self, transaction: Transaction) -> dict[str, Any]:
        """How many rows each statement has changed."""
        return planning.apply(self.plan, transaction)


def approved(plan: "Planned | Migrating") -> Shown:
    """Goes on where the target demands no approval of this plan, or has it; otherwise the run waits for one."""
    if plan.plan is None:
        return Shown(Result(title="Approval", verdict="There is nothing to approve."))
    told = wiring.conversation().approved(plan.plan.to_json())
    return Shown(planning.approval(told))


class Stepped(Shown):
    """A step that is done; `answer` is what its action has answered, now or in the run that did it."""

    def __init__(self, done: Done) -> None:
        notes = (done.remark,) if done.remark else ()
        super().__init__(Result(title=done.name, verdict=sentence(done), notes=notes))
        self._done = done

    @property
    def answer(self) -> Any:
        return kept(self._done)


def step(
    name: str,
    action: Callable[..., Any],
    *,
    probe: Callable[[], bool | None] | None = None,
    evidence: Callable[[], Any] | None = None,
    retry: int = 1,
) -> Stepped:
    """Do something that changes the target, between a journalled beginning and a journalled end, and at most once.

    An `action` of one argument is given a transaction on the target. What it answers must be JSON. `probe` says
    whether the effect is there (True, False, or None where it cannot tell); `evidence` is asked after it; `retry` is
    how often an idempotent action is tried.
    """
    return Stepped(_perform(name, action, probe=probe, evidence=evidence, tries=retry))


def _perform(name: str, action: Callable[..., Any], **more: Any) -> Done:
    return Act(wiring.conversation(), Work(name=name, action=action, **more), target).perform()


def migration(
    database: Session, folder: str, *, direction: Literal["apply", "revert"] = "apply", to: str | None = None
) -> "Migrating":
    """The files of a folder on their way into a database, or out of it: which ones is decided here, once."""
    from ops_lib.model.migration import Direction  # noqa: PLC0415
    from ops_lib.operations.migrations.rollout import Rollout  # noqa: PLC0415 - its parsers are heavy

    rollout = Rollout(
        database, Path(folder), wiring.conversation(), _perform,
        direction=Direction(direction), to=to, now=_now, tell=_say,
    )  # fmt: skip
    return Migrating(rollout)


class Migrating(Shown):
    """Migrations that show their plan. Each part of the way answers a result."""

    def __init__(self, rollout: "Rollout") -> None:
        super().__init__(rollout.shown())
        self._rollout = rollout
        self.plan = rollout.plan

    def lint(self) -> Shown:
        """What the files would lock or lose, with safe files in their place."""
        return Shown(self._rollout.lint())

    def rehearse(self, *, scratch: str | None = None, backup: str | None = None) -> Shown:
        """Up, back and up again on a copy: of a backup, or of the schema alone."""
        place = wiring.state_folder() / "scratch"
        return Shown(self._rollout.rehearse(place, scratch, Path(backup) if backup else None))

    def apply(self, patience: timedelta, *, end_blockers: bool = False, outside_windows: bool = False) -> Shown:
        """Do it, file by file, without anybody waiting long."""
        return Shown(self._rollout.apply(patience, end_blockers=end_blockers, outside_windows=outside_windows))

    def verify(self) -> Shown:
        """Whether it did what it was to do, and what it did to queries."""
        return Shown(self._rollout.verify())

    def undo(self) -> Shown:
        """How it is undone."""
        return Shown(self._rollout.undo())

    def hand_off(self) -> Shown:
        """Tell each team that the files name, or ETL, what was done and how it is undone."""
        return Shown(self._rollout.hand_off())


def verdict() -> Shown:
    """Everything that this run has found, in the order in which to act."""
    found = wiring.conversation().findings()
    acute = [finding for finding in roots(found) if finding.severity.weight]
    rows = [(finding.rank, finding.severity.value, finding.subject, finding.summary) for finding in roots(found)]
    sentence = f"{len(acute)} to act on; first: {acute[0].summary}" if acute else "Nothing to act on."
    return Shown(
        Result(
            title="Verdict",
            verdict=sentence,
            table=Table.of(("rank", "severity", "subject", "what"), rows) if rows else None,
            next_step=acute[0].remedy.text if acute else None,
        )
    )


class _Memory:
    """The snapshots that earlier runs kept of this run's target; read when they are first wanted."""

    def __init__(self) -> None:
        self.since: datetime | None = None

    @cache  # noqa: B019 - one memory lives as long as its kernel
    def newest(self) -> Snapshot | None:
        return snapshots.newest(_archive(), target().identity)

    def baseline(self) -> Snapshot | None:
        return self._baseline(self.since)

    @cache  # noqa: B019
    def _baseline(self, since: datetime | None) -> Snapshot | None:
        return snapshots.baseline(_archive(), target().identity, since=since, now=_now())


@cache
def _memory() -> _Memory:
    return _Memory()


def _picture(database: Session) -> bytes | None:
    """Mean times of the costliest queries, before and now, where there is a before."""
    memory = _memory()
    chart = diagnose.chart(database, baseline=memory.baseline(), newest=memory.newest())
    if chart is None or chart.before is None:
        return None
    from ops_lib.notebooks.pictures import Pair, before_and_now  # noqa: PLC0415 - matplotlib is heavy

    return before_and_now([
        Pair(label=label, before=before / 1000, now=now / 1000)
        for label, before, now in zip(chart.labels, chart.before, chart.now, strict=True)
    ])  # fmt: skip


def _say(text: str) -> None:
    """How something goes on, line by line, in what the cell prints."""
    sys.stdout.write(f"{text}\n")


def _trend(drills: "list[tuple[str, Drill]]") -> bytes | None:
    from ops_lib.notebooks.pictures import recovery  # noqa: PLC0415 - matplotlib is heavy

    return recovery(drills)


def _now() -> datetime:
    return datetime.now(UTC)


def _archive() -> Path:
    return Path(wiring.conversation().introduce()["archive"])


def _plain(value: Any) -> Any:
    """A value of a frame as JSON has it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value == value else None  # noqa: PLR0124 - NaN is the one value that is not itself
    return value.item() if hasattr(value, "item") else str(value)
