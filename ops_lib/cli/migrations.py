"""The commands about migrations that are no runs: status, lint, audit."""

from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ops_lib import wiring
from ops_lib.cli import render
from ops_lib.model.errors import BadInput
from ops_lib.model.finding import Severity

if TYPE_CHECKING:
    from ops_lib.model.lint import Linted
    from ops_lib.model.rehearsal import Audited
    from ops_lib.operations.migrations.look import Standing

_FOUND = 7


def migrations(given: Namespace) -> int:
    return {"status": _status, "lint": _lint, "audit": _audit}[given.action](given)


def _status(given: Namespace) -> int:
    from ops_lib.operations.migrations.look import status  # noqa: PLC0415

    found = status(wiring.open_desk(), given.migrations, given.target)
    if given.json:
        render.document(found.to_json())
    else:
        _show_standing(found)
    return 0


def _lint(given: Namespace) -> int:
    from ops_lib.operations.migrations.look import lint_files  # noqa: PLC0415

    found = lint_files(wiring.open_desk(), given.files, given.target)
    written = [path for each in found if given.write for path in _write_safe(given.write, each)]
    if given.json:
        render.document([each.to_json() for each in found])
    else:
        _show_remarks(found, written)
    return _FOUND if any(each.alarms for each in found) else 0


def _audit(given: Namespace) -> int:
    from ops_lib.operations.migrations.audit import audit  # noqa: PLC0415
    from ops_lib.operations.scratch_server import scratch_server  # noqa: PLC0415

    login = scratch_server(wiring.open_desk(), given.scratch) if given.scratch else None
    with _bar() as progress:
        place = wiring.state_folder() / "scratch"
        found = audit(given.path, home=place, scratch_login=login, progress=progress)
    if given.json:
        render.document([each.to_json() for each in found])
    else:
        _show_audit(found)
    return 0


def _show_standing(found: "Standing") -> None:
    rows = [(each.version, each.name) for each in found.pending]
    render.text(f"{found.target}: {len(found.applied)} applied, {len(rows)} pending of {found.folder.path}")
    if rows:
        render.table(("pending", "file"), rows)
    odd = {"changed after it was applied": found.edited, "older than what was applied": found.overtaken}
    render.lines(f"{what}: {each.name}" for what, files in odd.items() for each in files)
    render.lines(f"applied, and without a file: {each.version}" for each in found.orphaned)


def _show_remarks(found: Sequence["Linted"], written: Sequence[Path]) -> None:
    for each in found:
        for remark in sorted(each.findings, key=lambda remark: (-remark.severity.weight, remark.line)):
            lock = f" [{remark.lock}]" if remark.lock else ""
            render.text(f"{each.file}:{remark.line}: {remark.severity}: {remark.summary}{lock} ({remark.rule})")
            if remark.severity is not Severity.INFO:
                render.text(f"    {remark.remedy}")
        if each.safe and not written:
            render.text(f"{each.file}: there is a safe form; --write DIR writes {len(each.safe)} files")
    if not any(each.findings for each in found):
        render.text("nothing to remark")
    render.lines(f"written: {path}" for path in written)


def _write_safe(folder: Path, linted: "Linted") -> Iterator[Path]:
    """The files to use in place of one, into a folder; one that is there is never written over."""
    for file in linted.safe if linted.alarms else ():
        path = folder / file.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as opened:
                opened.write(file.text)
        except FileExistsError:
            raise BadInput(f"{path} is there already", hint="name an empty folder") from None
        except OSError as error:
            raise BadInput(f"{path} cannot be written: {error.strerror}", hint="name another folder") from None
        yield path


def _show_audit(found: Sequence["Audited"]) -> None:
    width = max((len(each.file) for each in found), default=0)
    render.lines(
        f"{each.file.ljust(width)}  {each.verdict}{f': {each.detail}' if each.detail else ''}" for each in found
    )
    counts = {each.verdict: 0 for each in found}
    for each in found:
        counts[each.verdict] += 1
    render.text(", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or "no migrations")


@contextmanager
def _bar() -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar on standard error, where that is a terminal."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, name: bar.update(task, completed=done, total=total, description=name)


COMMANDS = {"migrations": migrations}
