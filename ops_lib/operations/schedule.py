"""The schedules of a team: those that its files hold, how each stands, and what a machine needs to keep them."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ops_lib.archive.records import Records
from ops_lib.archive.timetable import Timetable
from ops_lib.model.errors import BadInput
from ops_lib.model.schedule import FRONT_MATTER, Schedule, own_schedule, schedule_from
from ops_lib.model.times import format_instant
from ops_lib.model.timetable import Standing
from ops_lib.notebooks.catalogue import read_catalogue
from ops_lib.operations.desk import Desk

RUNNING = "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """What schedules.yaml holds, and where it is."""

    file: Path
    entries: Mapping[Any, Any]


def schedules_of(desk: Desk, filed: Filed, standings: Mapping[str, Standing]) -> dict[str, Schedule]:
    """The schedules that are written down, by name.

    A runbook whose file is broken keeps the schedule that it had: its due times must not vanish unseen.
    """
    catalogue = read_catalogue(desk.runbooks)
    hazards = {runbook.id: runbook.hazard for runbook in catalogue.runbooks}
    broken = {fault.id for fault in catalogue.faults}
    known_from = filed.file.as_posix()
    found = [schedule_from(str(n), e, known_from=known_from, hazards=hazards) for n, e in filed.entries.items()]
    own = [schedule for runbook in catalogue.runbooks if (schedule := own_schedule(runbook))]
    stood = [standing.schedule for name, standing in standings.items() if name in broken]
    kept = [schedule for schedule in stood if schedule.known_from == FRONT_MATTER]
    return {schedule.name: schedule for schedule in (*kept, *own, *found)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A schedule as a person asks about it. `standing` is nothing until a tick has seen it as it is written now."""

    schedule: Schedule
    standing: Standing | None
    next_due: datetime | None
    outcome: str | None

    def to_json(self) -> dict[str, Any]:
        said = self.standing
        return {
            **self.schedule.to_json(),
            "next": format_instant(self.next_due) if self.next_due else None,
            "in_force": said is not None,
            "last": format_instant(said.last_due) if said and said.last_due else None,
            "last_run": said.last_run if said else None,
            "last_outcome": self.outcome,
            "missed_since": said.missed if said else 0,
            "missed_last": said.gap.to_json() if said and said.gap else None,
        }


def listed(desk: Desk, filed: Filed) -> list[Listed]:
    """Every schedule that is written down, with its next due time and its last run; the soonest first."""
    standings = Timetable(desk.archive).read()
    found = [_listed(desk, schedule, standings) for schedule in schedules_of(desk, filed, standings).values()]
    return sorted(found, key=lambda one: (one.next_due is None, one.next_due, one.schedule.name))


def _listed(desk: Desk, schedule: Schedule, standings: Mapping[str, Standing]) -> Listed:
    standing = standings.get(schedule.name)
    same = standing if standing and standing.schedule == schedule else None
    last = standing.last_run if standing else None
    return Listed(
        schedule=schedule,
        standing=same,
        next_due=next(schedule.when.after(same.settled_until if same else desk.clock()), None),
        outcome=_outcome(desk, last) if last else None,
    )


def _outcome(desk: Desk, run_id: str) -> str | None:
    """How a run ended; one without a record is running, unless it was pruned."""
    records = Records(desk.archive)
    if (desk.archive / "staging" / run_id).is_dir():
        return RUNNING
    try:
        return str(records.read(records.folder_of(run_id))["outcome"])
    except BadInput:
        return None


def export_cron(command: Sequence[str], folder: Path) -> str:
    """A line for `crontab -e`; cron mails what goes wrong, since that alone is said on standard error."""
    words = f"cd {shlex.quote(str(folder))} && {shlex.join(command)} >/dev/null".replace("%", "\\%")
    return f"# crontab -e: runs what is due, every minute\n* * * * * {words}\n"


def export_systemd(command: Sequence[str], folder: Path, account: str) -> str:
    """A service and a timer as one text. systemd starts no service that still runs, hence the instances."""
    quoted = " ".join(_unit_word(word) for word in command)
    return f"""\
# /etc/systemd/system/runbook-tick@.service
[Unit]
Description=Runs the runbooks that are due (%i)

[Service]
Type=oneshot
User={account}
WorkingDirectory={str(folder).replace("%", "%%")}
ExecStart={quoted}
TimeoutStartSec=infinity
KillMode=mixed

# /etc/systemd/system/runbook-tick@.timer
[Unit]
Description=Looks every minute for runbooks that are due (%i)

[Timer]
OnCalendar=minutely
AccuracySec=1s

[Install]
WantedBy=timers.target

# systemctl enable --now runbook-tick@{{1..4}}.timer
# Four, since a tick lasts as long as the runs that it began: a long one must not keep the others waiting.
"""


def _unit_word(word: str) -> str:
    """A word of ExecStart, where `%` and `$` mean something and quotes are C-like."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != word or " " in word else word


EXPORTS: Mapping[str, Callable[[Sequence[str], Path, str], str]] = {
    "cron": lambda command, folder, account: export_cron(command, folder),
    "systemd": export_systemd,
}
