"""Rehearse: what a rollout is about to do, done first on a copy that is thrown away."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops_lib.model.errors import OpsError, Refused
from ops_lib.model.migration import Direction, Migration
from ops_lib.model.rehearsal import Rehearsal
from ops_lib.model.target import Login
from ops_lib.postgres.migrations import rehearsal
from ops_lib.postgres.migrations.copies import copy_schema, restore
from ops_lib.postgres.migrations.reach import extensions
from ops_lib.postgres.migrations.scratch import require_extensions, scratch


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where a rehearsal happens, and as whom: a copy of `source`, or what the dump `backup` holds.

    On `server` databases may be made; without it one of our own is started in `home`.
    """

    source: Login
    role: str | None
    leave_out: Sequence[str]
    home: Path
    server: Login | None = None
    backup: Path | None = None

    def __str__(self) -> str:
        return f"a copy restored from {self.backup}" if self.backup else "a copy of the schema without rows"


def rehearse(stage: Stage, chosen: Sequence[Migration], direction: Direction, tell: Callable[[str], None]) -> Rehearsal:
    """What migrations do on a copy; Refused where they do not do what they should even there."""
    scripts = [script for each in chosen for script in (each.up, each.down) if script]
    with scratch(stage.server, stage.home) as place:
        place.admit(scripts)
        require_extensions(place, extensions(scripts))
        tell(f"rehearsing on {stage}")
        copy = restore(stage.backup, place, source=stage.source) if stage.backup else copy_schema(stage.source, place)
        go = rehearsal.rehearse_revert if direction is Direction.REVERT else rehearsal.rehearse
        try:
            return go(
                copy, chosen, role=stage.role, leave_out=stage.leave_out,
                progress=lambda done, total, what: tell(f"rehearsal {done + 1}/{total}: {what}"),
            )  # fmt: skip
        except Refused:
            raise
        except OpsError as error:
            hint = error.hint or "nothing was changed on the target; mend the file and run this again"
            raise Refused(f"it fails on a copy already: {error.message}", hint=hint) from None
