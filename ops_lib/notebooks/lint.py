"""The lint: the points of a beautiful runbook, each as a rule with a name.

    contract         front matter and parameters can be read (always an error)
    one-title        one H1, in the first text
    opening          three sentences: when to open it, what it never does, how long it takes
    import-cell      `from ops_lib.runbook import *` before the parameters
    parameter-help   every parameter has a help comment
    operation-note   a blank operation note for the person at the keyboard
    expect           a question says what good looks like: *Expect: ...*
    one-expression   a question has one cell, of one expression or assignment
    five-lines       and of at most five lines
    prose            at least as much prose as code
    plain-code       no def, class, try, with, loop or magic
    no-sql           no SQL: it lives in the checks
    imports          nothing is imported but the words
    words            every name is a word, a parameter or was assigned above
    ending           last come Verdict, with verdict(), and If this did not help, with links
    links            a link to a notebook, and a related id, names one that exists
    no-outputs       committed without outputs and execution counts
    metadata         every metadata key is one that is read
    cell-ids         every cell has an id of its own
    change-headings  a runbook that changes something: preconditions, plan, approval, apply, verify, undo

The standard set keeps all of them; in a team's own notebooks they are warnings.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from ops_lib.model.errors import BadRunbook
from ops_lib.notebooks.catalogue import read_runbook
from ops_lib.notebooks.front_matter import read_notebook
from ops_lib.notebooks.lint_rules import RULES
from ops_lib.notebooks.page import page_of

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One thing that the lint found; cells and the lines in them count from 1."""

    severity: str
    rule: str
    message: str
    cell: int | None = field(default=None)
    line: int | None = field(default=None)

    def __str__(self) -> str:
        places = ((name, number) for name, number in (("cell", self.cell), ("line", self.line)) if number)
        place = ", ".join(f"{name} {number}" for name, number in places)
        return f"{f'{place}: ' if place else ''}{self.severity}: {self.message} [{self.rule}]"


def lint(path: Path, *, strict: bool, known: Collection[str] = ()) -> tuple[Remark, ...]:
    """What is to be said about a notebook. Links may name the files beside it, and `known` ids and file names."""
    try:
        runbook = read_runbook(path)
        notebook, _ = read_notebook(path)
    except BadRunbook as error:
        return (Remark(severity=ERROR, rule="contract", message=str(error)),)
    page = page_of(path, notebook, runbook, frozenset({*known, *_beside(path)}))
    severity = ERROR if strict else WARNING
    return tuple(
        Remark(severity=severity, rule=name, message=message, cell=cell, line=line)
        for name, rule in RULES.items()
        for cell, line, message in rule(page)
    )


def _beside(path: Path) -> list[str]:
    return [other.name for other in path.parent.glob("*.ipynb")]
