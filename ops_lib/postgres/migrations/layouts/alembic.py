"""alembic: the SQL that the team's own `alembic` writes for its revisions offline, one migration for each of them.

Nothing is connected to. Branches and merges come in the order in which alembic runs them. The statements on
`alembic_version` are left out, since the history does those. A script's file is the revision, and its lines count from
the head of `upgrade()` or `downgrade()`: what alembic makes of the lines below that has no place in a file.
"""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops_lib.model.errors import BadInput
from ops_lib.model.migration import Folder, Layout, Migration, Script
from ops_lib.postgres.migrations.layouts import text
from ops_lib.postgres.sql_file import Statement, statements

INI = "alembic.ini"
TABLE = "alembic_version"
_STEP = re.compile(r"^-- Running (?:upgrade|downgrade) (.*?) -> (.*?)\s*$", re.MULTILINE)
_REVISION = re.compile(r"^Rev: (\S+).*?^Path: ([^\n]*)\n+(?:    ([^\n]*))?", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of what alembic would run: from which revisions it comes, to which it leads, and its SQL."""

    before: str
    after: str
    sql: str


def read(path: Path) -> Folder:
    """All revisions of the folder that holds an alembic.ini, or of that file."""
    ini = path / INI if path.is_dir() else path
    files = {match[1]: (Path(match[2]), match[3] or "") for match in _REVISION.finditer(_said(ini, "history", "-v"))}
    back = _ways_back(ini)
    ups = _steps(_said(ini, "upgrade", "base:heads", "--sql"))
    if unread := [step.after for step in ups if step.after not in back]:
        raise BadInput(f"{ini}: alembic writes no SQL for the way back from {unread[-1]}", hint=_hint(ini))
    migrations = tuple(_migration(step, back[step.after], *files[step.after]) for step in ups)
    return Folder(path=path, layout=Layout.ALEMBIC, migrations=migrations)


def parents(file: Path) -> tuple[str, ...]:
    """The revisions that must have been applied before that of a file, dependencies included."""
    found: list[str] = []
    for node in ast.parse(text.read(file)).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names = {target.id for target in targets if isinstance(target, ast.Name)}
        if names & {"down_revision", "depends_on"}:
            value = ast.literal_eval(node.value)  # type: ignore[attr-defined]
            found += [value] if isinstance(value, str) else list(value or ())
    return tuple(found)


def _migration(step: Step, back: str, file: Path, description: str) -> Migration:
    down = _script(file, "downgrade", back)
    return Migration(
        version=step.after, description=description, up=_script(file, "upgrade", step.sql), down=text.way_back(down)
    )


def _ways_back(ini: Path) -> dict[str, str]:
    """The SQL of each downgrade by revision; none where `downgrade()` raises, and the next ones are asked for anew."""
    found: dict[str, str] = {}
    start = "heads"
    while start:
        done = _alembic(ini, "downgrade", f"{start}:base", "--sql")
        steps = _steps(done.stdout)
        found |= {step.before: step.sql for step in steps}
        if done.returncode == 0:
            break
        if not steps or "," in steps[-1].after:
            raise _failed(ini, done)
        found[steps[-1].before] = ""
        start = steps[-1].after
    return found


def _steps(sql: str) -> list[Step]:
    matches = list(_STEP.finditer(sql))
    ends = [match.start() for match in matches[1:]] + [len(sql)]
    return [
        Step(before=match[1], after=match[2], sql=sql[match.end() : end])
        for match, end in zip(matches, ends, strict=True)
    ]


def _script(file: Path, function: str, sql: str) -> Script:
    kept = _trimmed([each for each in statements(sql, str(file)) if not _of_history(each.node)])
    brackets = [kind for each in kept if (kind := _bracket(each))]
    lines = [f"{each.text};\n" for each in kept]
    if brackets and brackets[0] == "COMMIT":
        lines.insert(0, "BEGIN;\n")
    if brackets and brackets[-1] == "BEGIN":
        lines.append("COMMIT;\n")
    return Script(file=file, text="".join(lines), first_line=_line(file, function), transaction=not brackets)


def _trimmed(found: list[Statement]) -> list[Statement]:
    """Without the brackets at either end, which are those of alembic around a step; those in between were asked for."""
    inner = [number for number, each in enumerate(found) if not _bracket(each)]
    return found[inner[0] : inner[-1] + 1] if inner else []


def _bracket(statement: Statement) -> str | None:
    if type(statement.node).__name__ != "TransactionStmt":
        return None
    return str(statement.node.kind.name).removeprefix("TRANS_STMT_")


def _of_history(node: Any) -> bool:
    """Whether a statement makes, changes or drops alembic's own table."""
    if type(node).__name__ == "DropStmt":
        return any(TABLE in [getattr(word, "sval", "") for word in _words(name)] for name in node.objects)
    return getattr(getattr(node, "relation", None), "relname", None) == TABLE


def _words(name: Any) -> Iterator[Any]:
    yield from name if isinstance(name, tuple | list) else ()


def _line(file: Path, function: str) -> int:
    """The line on which a function of a revision begins; the first where it has none."""
    nodes = ast.parse(text.read(file)).body
    found = (node.lineno for node in nodes if isinstance(node, ast.FunctionDef) and node.name == function)
    return next(found, 1)


def _said(ini: Path, *arguments: str) -> str:
    done = _alembic(ini, *arguments)
    if done.returncode != 0:
        raise _failed(ini, done)
    return done.stdout


def _alembic(ini: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    program = Path(sys.executable).with_name("alembic")
    found = str(program) if program.exists() else shutil.which("alembic")
    if found is None:
        raise BadInput(f"{ini} is read by alembic, which is not installed", hint="pip install alembic")
    command = [found, "-c", ini.name, *arguments]
    return subprocess.run(command, cwd=ini.absolute().parent, capture_output=True, text=True, check=False)


def _failed(ini: Path, done: "subprocess.CompletedProcess[str]") -> BadInput:
    lines = (done.stderr + done.stdout).strip().splitlines() or ["no word"]
    return BadInput(f"{ini}: alembic cannot write its SQL: {lines[-1].strip()}", hint=_hint(ini))


def _hint(ini: Path) -> str:
    return f"try it in {ini.absolute().parent}: alembic upgrade base:heads --sql, and downgrade heads:base --sql"
