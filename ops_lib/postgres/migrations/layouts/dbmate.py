"""dbmate: `VERSION_name.sql` in two parts, `-- migrate:up` and `-- migrate:down`, either with `transaction:false`."""

import re
from pathlib import Path

from ops_lib.model.errors import BadInput
from ops_lib.model.migration import Folder, Layout, Migration, Script
from ops_lib.postgres.migrations.layouts import text

_NAME = re.compile(r"(\d+)_?(.*)\.sql")
MARK = re.compile(r"--\s*migrate:(up|down)(?:\s+(.*?))?\s*")


def read(folder: Path) -> Folder:
    """All migrations of a folder that dbmate keeps, in the order of their names, as it applies them."""
    migrations = tuple(_migration(file) for file in sorted(folder.glob("[!.]*.sql")))
    return Folder(path=folder, layout=Layout.DBMATE, migrations=migrations)


def _migration(file: Path) -> Migration:
    name = _NAME.fullmatch(file.name)
    if name is None:
        raise BadInput(f"{file} is not named VERSION_name.sql", hint="dbmate wants digits first")
    up, down = scripts(file)
    return Migration(version=name[1], description=text.words(name[2]), up=up, down=down)


def scripts(file: Path) -> tuple[Script, Script | None]:
    """What a file applies, and how it is undone."""
    lines = text.read(file).splitlines(keepends=True)
    marks = [(number, mark) for number, line in enumerate(lines) if (mark := MARK.fullmatch(line.rstrip("\n")))]
    found = {mark[1]: (number, mark) for number, mark in reversed(marks)}
    if "up" not in found:
        raise BadInput(f"{file} has no line `-- migrate:up`")
    begin, up = found["up"]
    end, down = found.get("down", (len(lines), None))
    if end < begin or text.asks_for_something("".join(lines[:begin])):
        raise BadInput(f"{file}, line {min(end, begin) + 1}: something stands before `-- migrate:up`")
    back = _section(file, lines, end, len(lines), down) if down else None
    return _section(file, lines, begin, end, up), text.way_back(back) if back else None


def _section(file: Path, lines: list[str], begin: int, end: int, mark: re.Match[str]) -> Script:
    """The part that a mark begins; the mark, a comment, is its first line."""
    options = (mark[2] or "").split()
    return text.section(file, lines, begin, end, transaction="transaction:false" not in options)
