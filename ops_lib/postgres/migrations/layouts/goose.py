"""goose: `VERSION_name.sql` with `-- +goose Up` and `-- +goose Down`.

StatementBegin and StatementEnd tell goose where a statement ends; PostgreSQL's own parser knows that without them.
Migrations in Go and the substitution of environment variables are refused: what they would do cannot be read.
"""

import re
from pathlib import Path

from ops_lib.model.errors import BadInput
from ops_lib.model.migration import Folder, Layout, Migration, Script
from ops_lib.postgres.migrations.layouts import text

_NAME = re.compile(r"(\d+)_(.*)\.sql")
_GO = re.compile(r"\d+_.*(?<!_test)\.go")
MARK = re.compile(r"\s*--\s*\+goose\s+(.*?)\s*", re.IGNORECASE)


def read(folder: Path) -> Folder:
    """All migrations of a folder that goose keeps, in the order of their numbers."""
    for file in sorted(folder.glob("*.go")):
        if _GO.fullmatch(file.name):
            raise BadInput(f"{file} is a migration in Go, which is not understood", hint="write it as SQL")
    migrations = sorted((_migration(file) for file in folder.glob("[!.]*.sql")), key=lambda each: int(each.version))
    return Folder(path=folder, layout=Layout.GOOSE, migrations=tuple(migrations))


def _migration(file: Path) -> Migration:
    name = _NAME.fullmatch(file.name)
    if name is None or int(name[1]) == 0:
        raise BadInput(f"{file} is not named VERSION_name.sql", hint="goose wants a number above 0 and then _")
    up, down = scripts(file)
    return Migration(version=str(int(name[1])), description=text.words(name[2]), up=up, down=down)


def scripts(file: Path) -> tuple[Script, Script | None]:
    """What a file applies, and how it is undone."""
    lines = text.read(file).splitlines(keepends=True)
    marks = _marks(file, lines)
    if "up" not in marks:
        raise BadInput(f"{file} has no line `-- +goose Up`")
    begin, end = marks["up"], marks.get("down", len(lines))
    if end < begin or text.asks_for_something("".join(lines[:begin])):
        raise BadInput(f"{file}, line {min(end, begin) + 1}: something stands before `-- +goose Up`")
    transaction = "no transaction" not in marks
    back = text.section(file, lines, end, len(lines), transaction=transaction)
    return text.section(file, lines, begin, end, transaction=transaction), text.way_back(back)


def _marks(file: Path, lines: list[str]) -> dict[str, int]:
    """The line, from 0, of the first mark of each kind."""
    found: dict[str, int] = {}
    for number, line in enumerate(lines):
        if mark := MARK.fullmatch(line.rstrip("\n")):
            found.setdefault(mark[1].lower(), number)
    if "envsubst on" in found:
        where = f"{file}, line {found['envsubst on'] + 1}"
        raise BadInput(f"{where}: environment variables are not put in", hint="write the values into the file")
    return found
