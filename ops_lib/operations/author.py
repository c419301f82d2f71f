"""Writing runbooks: a notebook to begin with, and what the lint remarks on those that there are."""

import json
from collections.abc import Sequence
from pathlib import Path

from ops_lib.archive.files import write_whole
from ops_lib.model.errors import BadInput
from ops_lib.notebooks.catalogue import read_catalogue
from ops_lib.notebooks.lint import Remark, lint
from ops_lib.notebooks.template import new


def write_new(folder: Path, runbook_id: str, *, title: str | None, hazard: str, owner: str) -> Path:
    """The file of a new runbook; one that is there is never written over."""
    given = title or "Say what it is for"
    notebook = new(runbook_id, given, hazard, owner)
    slug = "-".join("".join(letter if letter.isalnum() else " " for letter in (title or "")).lower().split())
    path = folder / f"{runbook_id.lower()}{'-' * bool(slug)}{slug}.ipynb"
    taken = {runbook.id for runbook in read_catalogue((folder,)).runbooks}
    if path.exists() or runbook_id in taken:
        raise BadInput(f"{runbook_id} is there already in {folder}", hint="choose another id, or edit it")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(notebook, indent=1, ensure_ascii=False).encode() + b"\n")
    return path


def lint_files(
    files: Sequence[Path], folders: Sequence[Path], *, standard: Path, strict: bool
) -> list[tuple[Path, Remark]]:
    """The remarks on some files, or on everything in some folders; the standard set is held to the style strictly."""
    catalogue = read_catalogue(folders)
    known = [name for runbook in catalogue.runbooks for name in (runbook.id, Path(runbook.path).name)]
    chosen = files or [path for folder in folders for path in sorted(folder.glob("*.ipynb"))]
    return [
        (path, remark)
        for path in chosen
        for remark in lint(path, strict=strict or path.absolute().is_relative_to(standard.absolute()), known=known)
    ]
