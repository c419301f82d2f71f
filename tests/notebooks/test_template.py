"""A new runbook keeps every point of the style before anybody has edited it."""

import json

import nbformat
import pytest

from ops_lib.model.errors import BadRunbook
from ops_lib.notebooks.catalogue import read_runbook
from ops_lib.notebooks.lint import lint
from ops_lib.notebooks.template import new

SOP_004 = "sop-004-performance-investigation.ipynb"


@pytest.mark.parametrize("hazard", ["read-only", "changes", "destructive"])
def test_a_new_runbook_passes_the_strict_lint(tmp_path, hazard):
    """What `runbook new` writes has nothing to be remarked on."""
    path = tmp_path / "tsg-locks.ipynb"
    path.write_text(json.dumps(new("TSG-LOCKS", "Who locks whom", hazard, "devops")))
    assert lint(path, strict=True, known=[SOP_004]) == ()
    assert read_runbook(path).hazard == hazard


def test_it_is_a_valid_notebook_and_the_same_every_time():
    """Jupyter accepts it as it is, and two of them do not differ."""
    first, second = (new("TSG-LOCKS", "Who locks whom", "changes", "devops") for _ in range(2))
    nbformat.validate(first)
    assert first == second


@pytest.mark.parametrize("title", ["no", "1:30", 'it\'s "quoted": yes', "a # b", "- x", "Überlast"])
def test_any_title_and_owner_survive_yaml(tmp_path, title):
    """Text that YAML would take for something else is quoted."""
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps(new("TSG-X", title, "read-only", title)))
    runbook = read_runbook(path)
    assert (runbook.title, runbook.owner) == (title, title)


@pytest.mark.parametrize(
    ("name", "title", "hazard"), [("x", "T", "read-only"), ("TSG-X", "", "changes"), ("TSG-X", "T", "none")]
)
def test_what_the_contract_refuses_is_refused(name, title, hazard):
    """A bad id, title or hazard is named before a file is written."""
    with pytest.raises(BadRunbook, match="expected"):
        new(name, title, hazard, "devops")
