"""What is known of migrations without a run: how a database stands to a folder, and what the lint says of files."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops_lib.model.lint import Linted
from ops_lib.model.migration import Applied, Folder, Migration, edited, orphaned, overtaken, pending
from ops_lib.model.target import Hazard
from ops_lib.operations.desk import Desk
from ops_lib.postgres.connection import connect
from ops_lib.postgres.lint.lint import lint
from ops_lib.postgres.lint.use import table_use, tables
from ops_lib.postgres.migrations.files import read, script
from ops_lib.postgres.migrations.histories import history_of

_NAME = "runbook/migrations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a database stands to a folder of migrations."""

    target: str
    folder: Folder
    applied: tuple[Applied, ...]
    pending: tuple[Migration, ...]
    edited: tuple[Migration, ...]
    orphaned: tuple[Applied, ...]
    overtaken: tuple[Migration, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "path": str(self.folder.path),
            "layout": self.folder.layout.value,
            "applied": [{"version": each.version, "at": each.at} for each in self.applied],
            **{
                name: [{"version": each.version, "file": str(each.up.file)} for each in found]
                for name, found in (("pending", self.pending), ("edited", self.edited), ("overtaken", self.overtaken))
            },
            "orphaned": [each.version for each in self.orphaned],
        }


def status(desk: Desk, path: Path, target: str | None) -> Standing:
    """What a database has had of a folder, and what it has not."""
    folder, named = read(path), desk.target(target)
    with closing(connect(desk.reach(named, Hazard.READ_ONLY), application_name=_NAME)) as connection:
        had = history_of(folder).applied(connection)
    return Standing(
        target=named.name,
        folder=folder,
        applied=tuple(had.values()),
        pending=tuple(pending(folder, had)),
        edited=tuple(edited(folder, had)),
        orphaned=tuple(orphaned(folder, had)),
        overtaken=tuple(overtaken(folder, had)),
    )


def lint_files(desk: Desk, files: Sequence[Path], target: str | None) -> list[Linted]:
    """What is remarked of files in the order in which they would be applied; with a target, about its tables."""
    scripts = [script(file) for file in files]
    if target is None:
        return lint(scripts)
    login = desk.reach(desk.target(target), Hazard.READ_ONLY)
    with closing(connect(login, application_name=_NAME)) as connection:
        return lint(scripts, use=table_use(connection, tables(scripts)))
