"""The standard set keeps every point of the style, and its words are the documented ones."""

import ast
import re
from pathlib import Path

import pytest

from ops_lib import runbook as words_of_a_cell
from ops_lib.model.parameter import bind
from ops_lib.model.runbook import TYPES, WORDS
from ops_lib.model.target import Hazard
from ops_lib.notebooks.catalogue import read_catalogue
from ops_lib.notebooks.lint import lint
from ops_lib.postgres.checks import CHECKS

REPOSITORY = Path(__file__).parents[2]
STANDARD = sorted((REPOSITORY / "runbooks").glob("*.ipynb"))
WORDS_PAGE = (REPOSITORY / "docs" / "words.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", STANDARD, ids=lambda path: path.stem)
def test_the_lint_has_nothing_to_say(path):
    """A standard runbook is beautiful to the letter."""
    assert [str(remark) for remark in lint(path, strict=True)] == []


def test_the_catalogue_is_whole():
    """Every file is a runbook, and its name begins with its id."""
    catalogue = read_catalogue([REPOSITORY / "runbooks"])
    assert catalogue.faults == ()
    assert {"SOP-004", "OPS-SNAPSHOT"} <= {runbook.id for runbook in catalogue.runbooks}
    for runbook in catalogue.runbooks:
        assert runbook.stem.startswith(runbook.id.lower() + "-")


def test_investigations_read_and_run_without_being_told_anything():
    """At 3 a.m. nobody knows the parameters."""
    catalogue = read_catalogue([REPOSITORY / "runbooks"])
    for name in ("SOP-004", "OPS-SNAPSHOT"):
        runbook = catalogue.find(name)
        assert runbook.hazard is Hazard.READ_ONLY
        assert runbook.needs == ("target:postgres",)
        assert bind(runbook.parameters, {})


def test_the_words_are_those_that_a_cell_has():
    """What the lint knows is what `from ops_lib.runbook import *` brings."""
    assert sorted(words_of_a_cell.__all__) == sorted([*WORDS, *TYPES])


def test_the_words_are_documented():
    """Each word has a section of its own, with an example that says it."""
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", WORDS_PAGE, re.MULTILINE | re.DOTALL))
    assert sorted(sections) == sorted(WORDS)
    for word, text in sections.items():
        (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        called = {node.func.id for node in ast.walk(ast.parse(example)) if isinstance(node, ast.Call)}
        assert word in called
        assert f"`{word}(" in text


def test_the_documented_questions_are_asked():
    """The questions that the documents list, that SOP-004 asks, and that there are, are the same."""
    asked = set()
    for path in STANDARD:
        asked |= set(re.findall(r'check\(database, \\"(\w+)\\"\)', path.read_text(encoding="utf-8")))
    documented = re.search(r"^## check\n.*?The questions are (.*?)\.", WORDS_PAGE, re.MULTILINE | re.DOTALL)
    assert documented
    assert set(re.findall(r"`(\w+)`", documented[1])) == set(CHECKS) == asked
