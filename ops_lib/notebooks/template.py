"""A new runbook: a notebook that keeps the contract and the style from its first minute, and runs as it is."""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Final

from ops_lib.model.runbook import runbook_from
from ops_lib.model.target import Hazard
from ops_lib.notebooks.front_matter import parse_front_matter
from ops_lib.notebooks.lint_rules import CHANGE, ELSEWHERE, NOTE, VERDICT
from ops_lib.notebooks.page import IMPORT
from ops_lib.notebooks.parameters import TAG

_FRONT: Final = """---
id: {id}
title: {title}
hazard: {hazard}
owner: {owner}
timeout: 15m
needs: [target:postgres]
wants: []
schedule: null
related: []
---"""
_NEVER: Final = {
    Hazard.READ_ONLY: "It reads and never changes anything.",
    Hazard.CHANGES: "It never changes anything that its plan does not name.",
    Hazard.DESTRUCTIVE: "It never removes anything that its plan does not name.",
}
_OPENING: Final = "# {title}\n\nOpen this when (say what a person sees). {never} It takes about a minute."
_DATABASE: Final = "The database that this run was given; it is connected to when it is first asked something."
_QUESTION: Final = """## Is anyone waiting?

A session that waits for a lock is stuck until the head of its chain ends. (Say why this question comes first.)

*Expect: nobody waits, or no chain is older than a minute.*"""
_STAGES: Final[dict[str, tuple[str, str | None]]] = {
    "Preconditions": (
        "What must be true before anything is touched; where it is not, the run ends here.\n\n*Expect: it holds.*",
        'require(database, "a database was chosen")',
    ),
    "Plan": (
        "What will be done, statement by statement, and what for.\n\n*Expect: nothing that you did not come for.*",
        'show("Say here what will be done.")',
    ),
    "Approval": (
        "Read the plan. Where the target demands it, a second person reads it too, and says yes before the next cell.",
        None,
    ),
    "Apply": (
        "The change itself, as a step that is journalled before it begins and never done twice.\n\n*Expect: done.*",
        'step("apply", lambda: "say here what was done")',
    ),
    "Verify": (
        "How you know that it worked, asked of the database and not of the step.\n\n*Expect: nobody waits.*",
        'check(database, "locks")',
    ),
    "Undo": ("How to go back, and until when that is possible.", None),
}
_ELSEWHERE: Final = """## {title}

When something is slow and nothing here says why, run
[SOP-004 Performance investigation](sop-004-performance-investigation.ipynb)."""


def new(id: str, title: str, hazard: str, owner: str) -> dict[str, Any]:  # noqa: A002 -- the key of the contract
    """A notebook to begin with, as JSON; BadRunbook where the front matter would not be accepted."""
    quoted = {"title": json.dumps(title, ensure_ascii=False), "owner": json.dumps(owner, ensure_ascii=False)}
    front = _FRONT.format(id=id, hazard=hazard, **quoted)
    runbook = runbook_from({**parse_front_matter(front.strip("-")), "id": id, "hazard": hazard})
    cells = [_cell("raw", front), *_opening(runbook.title, runbook.hazard)]
    cells += _stages() if runbook.hazard is not Hazard.READ_ONLY else _question()
    cells += [
        _cell("markdown", f"## {VERDICT}\n\nEverything that was found, in the order in which to act."),
        _cell("code", "verdict()"),
        _cell("markdown", _ELSEWHERE.format(title=ELSEWHERE)),
    ]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}


def _opening(title: str, hazard: Hazard) -> Iterator[dict[str, Any]]:
    yield _cell("markdown", _OPENING.format(title=title, never=_NEVER[hazard]))
    yield _cell("code", IMPORT)
    help_text = "what this run calls itself; replace it with what yours needs to be told"
    yield _cell("code", f'label: str = "first"  # {help_text}', tag=TAG)
    yield _cell("markdown", f"**{NOTE}**")
    yield _cell("markdown", _DATABASE)
    yield _cell("code", "database = target()")


def _question() -> Iterator[dict[str, Any]]:
    yield _cell("markdown", _QUESTION)
    yield _cell("code", 'check(database, "locks")')


def _stages() -> Iterator[dict[str, Any]]:
    for title in CHANGE:
        told, asked = _STAGES[title]
        yield _cell("markdown", f"## {title}\n\n{told}")
        if asked:
            yield _cell("code", asked)


def _cell(kind: str, source: str, *, tag: str | None = None) -> dict[str, Any]:
    """A cell whose id follows from its text, so that the same template is the same file."""
    cell: dict[str, Any] = {
        "cell_type": kind,
        "id": sha256(f"{kind}:{source}".encode()).hexdigest()[:8],
        "metadata": {"tags": [tag]} if tag else {},
        "source": source.splitlines(keepends=True),
    }
    return {**cell, "execution_count": None, "outputs": []} if kind == "code" else cell
