"""The catalogue: every runbook of some folders, and what is wrong with the files that are none.

One broken file never hides the others, and never lets a standard runbook stand in for it unseen: an id or a file
name that a broken file claims stays claimed.
"""

import difflib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops_lib.model.errors import BadRunbook, OpsError
from ops_lib.model.runbook import ID, Runbook, runbook_from
from ops_lib.notebooks.front_matter import LARGEST_FILE, front_matter, read_notebook
from ops_lib.notebooks.parameters import parameters_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A file that looks like a runbook and is none, with the reason in one line; `id` where it could be read."""

    path: Path
    message: str
    id: str | None = field(default=None)

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Runbooks in the order of their ids; the first folder that claims an id has it."""

    runbooks: tuple[Runbook, ...]
    faults: tuple[Fault, ...]

    def find(self, text: str) -> Runbook:
        """The runbook of this id or file stem, in any case; BadRunbook has its fault, or the nearest names."""
        wanted = _stem(text.strip())
        for runbook in self.runbooks:
            if wanted in (runbook.id.lower(), runbook.stem.lower()):
                return runbook
        for fault in self.faults:
            if _claims(fault, wanted):
                raise BadRunbook(str(fault), hint="runbook lint FILE says more")
        raise BadRunbook(f"there is no runbook {text.strip()[:80]!r}", hint=self._nearest(wanted))

    def _nearest(self, wanted: str) -> str:
        names = {name.lower(): runbook.id for runbook in self.runbooks for name in (runbook.id, runbook.stem)}
        near = dict.fromkeys(names[name] for name in difflib.get_close_matches(wanted, names, n=3, cutoff=0.5))
        return f"did you mean {' or '.join(near)}?" if near else "runbook list shows those there are"


def find_runbook(folders: Sequence[Path], text: str) -> Runbook:
    """What `read_catalogue(folders).find(text)` finds, without reading what has nothing to do with it."""
    try:
        named = read_catalogue(folders, about=text).find(text)
        return read_catalogue(folders, about=named.id).find(text)  # what stands in for it may have another stem
    except BadRunbook:
        return read_catalogue(folders).find(text)


def read_catalogue(folders: Sequence[Path], *, about: str = "") -> Catalogue:
    """Everything in these folders, or only those files that can have to do with one id or stem.

    A folder that is not there holds nothing.
    """
    runbooks: dict[str, Runbook] = {}
    faults: list[Fault] = []
    for folder in folders:
        found, broken = _read_folder(folder, _stem(about.strip()))
        for runbook in found:
            if runbook.id not in runbooks and not any(_stands_for(fault, runbook) for fault in faults):
                runbooks[runbook.id] = runbook
        faults.extend(broken)
    return Catalogue(runbooks=tuple(sorted(runbooks.values(), key=lambda r: r.id)), faults=tuple(faults))


def read_runbook(path: Path) -> Runbook:
    """One file as a runbook; BadRunbook says what is wrong with it."""
    notebook, content = read_notebook(path)
    return runbook_from(
        front_matter(notebook),
        parameters=parameters_of(notebook),
        path=str(path),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _read_folder(folder: Path, wanted: str) -> tuple[list[Runbook], list[Fault]]:
    found: dict[str, list[Runbook]] = {}
    faults = []
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".ipynb" and path.name[0] != ".")
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [Fault(path=folder, message=f"cannot be read: {error.strerror or error}")]
    for path in paths:
        if not _mentions(path, wanted):
            continue
        try:
            runbook = read_runbook(path)
            found.setdefault(runbook.id, []).append(runbook)
        except OpsError as error:
            faults.append(Fault(path=path, message=str(error), id=_claimed_id(path)))
    faults.extend(_duplicates(found))
    return [group[0] for group in found.values() if len(group) == 1], faults


def _mentions(path: Path, wanted: str) -> bool:
    """Whether a file may be, or claim to be, a runbook of this id or stem; what cannot be read may be anything."""
    try:
        if path.stem.lower().startswith(wanted) or not path.is_file() or path.stat().st_size > LARGEST_FILE:
            return True
        return wanted.encode("utf-8", "surrogateescape") in path.read_bytes().lower()
    except OSError:
        return True


def _duplicates(found: Mapping[str, Sequence[Runbook]]) -> Iterator[Fault]:
    for name, group in found.items():
        for runbook in group if len(group) > 1 else []:
            others = ", ".join(Path(other.path).name for other in group if other is not runbook)
            yield Fault(path=Path(runbook.path), message=f"has the id {name}, as {others} has", id=name)


def _claimed_id(path: Path) -> str | None:
    """The id of a broken file, where that much of it can be read."""
    try:
        claimed: Any = front_matter(read_notebook(path)[0]).get("id")
    except OpsError:
        return None
    return claimed if isinstance(claimed, str) and ID.fullmatch(claimed) else None


def _stands_for(fault: Fault, runbook: Runbook) -> bool:
    return fault.id == runbook.id if fault.id else _claims(fault, runbook.id.lower())


def _claims(fault: Fault, wanted: str) -> bool:
    """Whether a broken file has this id or stem, or a stem that begins with this id."""
    stem = fault.path.stem.lower()
    return wanted in (stem, (fault.id or "").lower()) or (fault.id is None and stem.startswith(wanted + "-"))


def _stem(text: str) -> str:
    return text.removesuffix(".ipynb").lower()
