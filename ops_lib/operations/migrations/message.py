"""What other teams are told of migrations: the handoff of the handbook, and a line for the changelog."""

from collections.abc import Mapping, Sequence
from typing import Any

from ops_lib.model.migration import Direction, Migration
from ops_lib.postgres.migrations.touched import Touched

TRIGGER = "database_migration_complete"
_MOST = 100


def message(
    chosen: Sequence[Migration], direction: Direction, touches: Touched, impact: str, way_back: str
) -> dict[str, Any]:
    """The handoff. What its authors say that it affects stands beside what its statements name."""
    said = [name for each in chosen for name in each.header.affects]
    gone = direction is Direction.REVERT
    return {
        "trigger": TRIGGER,
        "context": {
            "migration_files": _first([str(each.up.file) for each in chosen]),
            "affected_tables": _first([*dict.fromkeys([*said, *touches.relations])]),
            "new_columns": [] if gone else _first(touches.columns),
            "breaking_changes": gone or any(each.header.breaking for each in chosen),
            "performance_impact": impact,
        },
        "action_required": _asked(touches, gone=gone),
        "revert": [way_back],
    }


def _first(names: Sequence[str]) -> list[str]:
    """As many as a message holds; the record of the run has all."""
    more = len(names) - _MOST
    return [*names] if more <= 0 else [*names[:_MOST], f"and {more} more"]


def _asked(touches: Touched, *, gone: bool) -> list[str]:
    """What the handbook asks of whoever loads or reads these tables."""
    asked = ["Test what reads or loads these tables against the new schema"]
    if touches.columns or gone:
        asked.insert(0, "Update validation schemas and hardcoded column lists")
    return asked


def teams(chosen: Sequence[Migration]) -> tuple[str, ...]:
    """Whom the files want to be told; ETL where they name nobody."""
    return tuple(dict.fromkeys(team for each in chosen for team in each.header.notify)) or ("etl",)


def changelog(chosen: Sequence[Migration], direction: Direction, at: str, run: Mapping[str, Any]) -> list[str]:
    """A line for each migration, for the team's own file of them."""
    done = "reverted on" if direction is Direction.REVERT else "applied to"
    where = f"{done} {run['target']} (run {run['run_id']})"
    return [f"- {at[:10]} {each.name}: {_what(each)}; {where}" for each in chosen]


def _what(migration: Migration) -> str:
    text = migration.header.title or migration.description
    return f"{text}, breaking" if migration.header.breaking else text
