"""Reading a notebook's file and its first cell."""

import json
import os

import pytest

from ops_lib.model.errors import BadRunbook
from ops_lib.notebooks.front_matter import front_matter, parse_front_matter, read_notebook


def notebook(source: object, cell_type: str = "raw") -> dict:
    """A notebook with one cell."""
    return {"nbformat": 4, "cells": [{"cell_type": cell_type, "metadata": {}, "source": source}]}


def test_the_first_raw_cell_is_read():
    """The source may be one string or a list of lines."""
    assert front_matter(notebook("---\nid: SOP-004\n---")) == {"id": "SOP-004"}
    assert front_matter(notebook(["---\n", "id: SOP-004\n", "---\n"])) == {"id": "SOP-004"}


@pytest.mark.parametrize(
    "broken",
    [
        {"nbformat": 4, "cells": []},
        notebook("---\nid: X\n---", "markdown"),
        notebook("id: SOP-004"),
        notebook("---\nid: SOP-004"),
        notebook("---"),
        notebook(""),
        notebook("---\n- a\n---"),
        notebook("---\n---"),
    ],
)
def test_no_front_matter_says_how_one_looks(broken):
    """A notebook without front matter is answered with its form."""
    with pytest.raises(BadRunbook, match="opens with ---"):
        front_matter(broken)


@pytest.mark.parametrize(
    ("line", "quoted"),
    [
        ("owner: no", '"no"'),
        ("owner: Yes", '"Yes"'),
        ("owner: on", '"on"'),
        ("timeout: 1:30", '"1:30"'),
        ("timeout: 010", '"010"'),
        ("timeout: 0x1F", '"0x1F"'),
        ("timeout: 1_000", '"1_000"'),
        ("timeout: .inf", '".inf"'),
        ("title: 2026-01-31", '"2026-01-31"'),
        ("title: =", '"="'),
        ("no: 1", '"no"'),
        ("<<: {a: b}", '"<<"'),
    ],
)
def test_surprises_of_yaml_are_refused_with_the_quoted_form(line, quoted):
    """What YAML would turn into something else is refused, with its line and the form that means text."""
    with pytest.raises(BadRunbook) as caught:
        parse_front_matter(f"id: SOP-004\n{line}")
    assert quoted in caught.value.message
    assert "line 2" in caught.value.message


def test_plain_values_mean_what_they_say():
    """Quoted text stays text; true, null and decimal numbers are what they look like."""
    parsed = parse_front_matter('a: "no"\nb: true\nc: null\nd: 12\ne: 0.5\nf:\ng: [x, {h: -1}]')
    assert parsed == {"a": "no", "b": True, "c": None, "d": 12, "e": 0.5, "f": None, "g": ["x", {"h": -1}]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id: A\nid: B", "line 2: id is given twice"),
        ("a: &x [1]\nb: *x", "alias"),
        ("a: !!python/object/apply:os.system [echo]", "tag"),
        ("a: !thing x", "tag"),
        ("a: [1, 2", "line"),
        ("a: b: c", "line 1"),
        ("\ta: 1", "line 1"),
        ("a: 1\n---\nb: 2", "single document"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested"),
        ("a: " + "[" * 20 + "]" * 20, "nested"),
        ("a: " + "x" * 20000, "larger"),
        ("a: \x07", "front matter"),
        ("? [a, b]\n: c", "not text"),
    ],
)
def test_broken_yaml_is_one_line_with_its_place(text, said):
    """Whatever is wrong, the message is one line and names the place."""
    with pytest.raises(BadRunbook) as caught:
        parse_front_matter(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON: line 1"),
        (b"{", "not JSON"),
        (b"\xff\xfe\xff", "not text in UTF-8|not JSON"),
        (b"[]", "no list of cells"),
        (b'{"cells": {}}', "no list of cells"),
        (b'{"cells": [], "nbformat": 3}', "expected 4"),
        (b'{"cells": [1], "nbformat": 4}', "cell 1"),
        (b"[" * 200_000, "nested too deeply|not JSON"),
    ],
)
def test_a_file_that_is_no_notebook_says_why(tmp_path, content, said):
    """Text, other JSON and old formats are each named."""
    path = tmp_path / "x.ipynb"
    path.write_bytes(content)
    with pytest.raises(BadRunbook, match=said):
        read_notebook(path)


def test_folders_and_holes_are_no_notebooks(tmp_path):
    """A folder, a dangling link and a named pipe are refused without waiting."""
    (tmp_path / "folder.ipynb").mkdir()
    (tmp_path / "dangling.ipynb").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.ipynb")
    for name in ("folder", "dangling", "pipe"):
        with pytest.raises(BadRunbook):
            read_notebook(tmp_path / f"{name}.ipynb")


def test_the_bytes_come_with_the_notebook(tmp_path):
    """The digest of a runbook is taken from the bytes that were parsed."""
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps(notebook("---\na: 1\n---")))
    parsed, content = read_notebook(path)
    assert json.loads(content) == parsed
