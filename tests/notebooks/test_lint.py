"""Every rule of the lint fires on what it is about, and only there."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops_lib.notebooks import lint as module
from ops_lib.notebooks.lint import lint
from ops_lib.notebooks.lint_rules import RULES
from ops_lib.notebooks.template import new

Edit = Callable[[dict[str, Any]], object]
SOP_004 = "sop-004-performance-investigation.ipynb"


def remarks(folder: Path, edit: Edit, *, hazard: str = "read-only", strict: bool = True) -> dict[str, str]:
    """The rules that fire on a new runbook after an edit, each with its first message."""
    notebook = new("TSG-X", "A title", hazard, "devops")
    edit(notebook)
    path = folder / "tsg-x.ipynb"
    path.write_text(json.dumps(notebook))
    found: dict[str, str] = {}
    for remark in lint(path, strict=strict, known=[SOP_004]):
        found.setdefault(remark.rule, str(remark))
    return found


def cell(notebook: dict[str, Any], text: str) -> dict[str, Any]:
    """The first cell that holds a text."""
    return next(cell for cell in notebook["cells"] if text in "".join(cell["source"]))


def say(text: str, instead: str) -> Edit:
    """An edit that replaces a text by another, in its cell."""

    def edit(notebook: dict[str, Any]) -> None:
        found = cell(notebook, text)
        found["source"] = "".join(found["source"]).replace(text, instead)

    return edit


def drop(text: str) -> Edit:
    """An edit that removes the cell with a text."""
    return lambda notebook: notebook["cells"].remove(cell(notebook, text))


CHECK = 'check(database, "locks")'
CASES: list[tuple[str, Edit]] = [
    ("contract", say("hazard: read-only", "hazard: none")),
    ("contract", say("label: str", "label = 1; label: str")),
    ("one-title", say("# A title", "A title")),
    ("one-title", say("**Operation note**", "**Operation note**\n\n# Again")),
    ("opening", say("It takes about a minute.", "It takes about a minute. Or two.")),
    ("import-cell", drop("from ops_lib.runbook import *")),
    ("parameter-help", say("# what this run calls itself; replace it with what yours needs to be told", "")),
    ("operation-note", drop("**Operation note**")),
    ("operation-note", say("**Operation note**", "**Operation note** I was here")),
    ("expect", say("*Expect:", "*Hope:")),
    ("one-expression", say(CHECK, f"{CHECK}\n{CHECK}")),
    ("one-expression", drop(CHECK)),
    ("five-lines", say(CHECK, 'check(\n\n\n\ndatabase, "locks"\n)')),
    ("prose", say(CHECK, f"note({'a' * 3000!r})")),
    ("plain-code", say(CHECK, "[check(database, q) for q in database]")),
    ("plain-code", say(CHECK, "for q in database:\n    check(database, q)")),
    ("plain-code", say(CHECK, "%time check(database)")),
    ("plain-code", say(CHECK, "try:\n    check(database)\nexcept ValueError:\n    note('x')")),
    ("no-sql", say(CHECK, 'frame(database, "select * from t")')),
    ("imports", say("database = target()", "import os")),
    ("words", say(CHECK, "diagnose(database)")),
    ("words", say("database = target()", "other = target()")),
    ("ending", say("verdict()", "note('bye')")),
    ("ending", say("## If this did not help", "## Elsewhere")),
    ("ending", say(f"({SOP_004})", "")),
    ("links", say(SOP_004, "sop-999-nothing.ipynb")),
    ("links", say("related: []", "related: [SOP-999]")),
    ("no-outputs", lambda notebook: cell(notebook, CHECK).update(execution_count=3)),
    ("no-outputs", lambda notebook: cell(notebook, CHECK).update(outputs=[{"output_type": "stream", "text": ""}])),
    ("metadata", lambda notebook: cell(notebook, CHECK)["metadata"].update(collapsed=True)),
    ("metadata", lambda notebook: cell(notebook, CHECK)["metadata"].update(tags=["hide"])),
    ("metadata", lambda notebook: notebook["metadata"].update(toc={})),
    ("cell-ids", lambda notebook: cell(notebook, CHECK).pop("id")),
    ("cell-ids", lambda notebook: cell(notebook, CHECK).update(id=notebook["cells"][0]["id"])),
]


@pytest.mark.parametrize(("rule", "edit"), CASES, ids=[f"{n}-{rule}" for n, (rule, _) in enumerate(CASES)])
def test_a_rule_fires_on_what_it_is_about(tmp_path, rule, edit):
    """One edit breaks one point, and the remark names it."""
    found = remarks(tmp_path, edit)
    assert rule in found
    assert "\n" not in found[rule]


@pytest.mark.parametrize("title", ["Preconditions", "Plan", "Approval", "Apply", "Verify", "Undo"])
def test_a_change_has_all_its_sections(tmp_path, title):
    """A runbook that changes something lacks none of the six."""
    found = remarks(tmp_path, say(f"## {title}", "## Something"), hazard="changes")
    assert title in found["change-headings"]


def test_a_code_fence_holds_no_heading(tmp_path):
    """A comment in an example is no title."""
    assert remarks(tmp_path, say("stuck until", "stuck until\n\n```\n# no title\n```\n\n")) == {}


def test_a_team_hears_warnings_and_has_words_of_its_own(tmp_path):
    """In a team's own notebooks the points are warnings, and its module of words is known."""
    (tmp_path / "runbook_words.py").write_text("def odds(database):\n    return 1\n")
    assert remarks(tmp_path, say(CHECK, "odds(database)"), strict=False) == {}
    found = remarks(tmp_path, say("*Expect:", "*Hope:"), strict=False)
    assert "warning" in found["expect"]


def test_a_remark_says_where(tmp_path):
    """Cell and line stand first, severity and rule are named."""
    found = remarks(tmp_path, say(CHECK, 'frame(database,\n  "select 1 from t")'))
    assert re.match(r"cell \d+, line 2: error: SQL .* \[no-sql\]", found["no-sql"])


def test_every_rule_is_described_and_tried():
    """The list at the head of the lint, the rules and these tests name the same."""
    described = set(re.findall(r"^    ([a-z-]+)  ", module.__doc__ or "", re.MULTILINE))
    assert described == {*RULES, "contract"}
    assert described == {rule for rule, _ in CASES} | {"change-headings"}
