"""Where what a person ran is not the reviewed notebook: the notebook of the record holds what was run, and says so.

A cell that was run again, or that the reviewed notebook does not have, is put where it was run, under an id of its own;
one whose source was changed keeps the reviewed source beside it.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ops_lib.notebooks.front_matter import source_of

KEY = "deviates"


class Deviation(StrEnum):
    """How a cell that was run is not what was reviewed."""

    CHANGED = "changed"
    AGAIN = "run again"
    ADDED = "added"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A notebook in which a cell that is about to run has its place, under the id by which the journal names it."""

    notebook: dict[str, Any]
    cell: str
    deviation: Deviation | None = None


def place(
    notebook: Mapping[str, Any], cell: str | None, source: str, *, ran: Mapping[str, str], last: str | None
) -> Placed:
    """The place of a cell; `ran` has the newest id under which each cell ran, and `last` is the one that ran last.

    >>> book = {"cells": [{"cell_type": "code", "id": "a", "metadata": {}, "source": "1"}]}
    >>> place(book, "a", "1", ran={}, last=None).deviation is None
    True
    >>> place(book, "a", "2", ran={}, last=None).deviation.value, place(book, "a", "1", ran={"a": "a"}, last="a").cell
    ('changed', 'a-2')
    """
    reviewed = next((one for one in notebook["cells"] if one["id"] == cell and one["cell_type"] == "code"), None)
    if reviewed is None or cell is None:
        return _inserted(notebook, _free(notebook, cell or "by-hand"), source, last, {KEY: Deviation.ADDED.value})
    said = source_of(reviewed)
    if cell in ran:
        note = {KEY: Deviation.AGAIN.value, "of": cell}
        return _inserted(notebook, _free(notebook, cell), source, ran[cell], note)
    if said.rstrip() == source.rstrip():
        return Placed(notebook=dict(notebook), cell=cell)
    changed = copy.deepcopy(dict(notebook))
    for one in changed["cells"]:
        if one["id"] == cell:
            one.update(source=source)
            one["metadata"]["runbook"] = {KEY: Deviation.CHANGED.value, "reviewed": said}
    return Placed(notebook=changed, cell=cell, deviation=Deviation.CHANGED)


def _free(notebook: Mapping[str, Any], name: str) -> str:
    """An id that no cell has: the name, or with the first number from 2 on that is free."""
    taken = {one["id"] for one in notebook["cells"]}
    number = 2
    found = name
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found


def _inserted(
    notebook: Mapping[str, Any], name: str, source: str, after: str | None, note: Mapping[str, str]
) -> Placed:
    made: dict[str, Any] = {
        "cell_type": "code", "id": name, "metadata": {"runbook": dict(note)}, "source": source, "outputs": [],
        "execution_count": None,
    }  # fmt: skip
    cells = copy.deepcopy(list(notebook["cells"]))
    ids = [one["id"] for one in cells]
    where = ids.index(after) + 1 if after in ids else len(cells)
    cells.insert(where, made)
    return Placed(notebook={**notebook, "cells": cells}, cell=name, deviation=Deviation(note[KEY]))
