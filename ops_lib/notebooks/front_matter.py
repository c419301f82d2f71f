"""The front matter of a notebook: YAML in its first raw cell, read without any of YAML's surprises.

The file is read as plain JSON, since listing a catalogue must not wait for Jupyter's own libraries.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ops_lib.model.errors import BadInput, BadRunbook
from ops_lib.notebooks.plain_yaml import read_plain

LARGEST_FILE: Final = 20_000_000
LARGEST_FRONT_MATTER: Final = 16_000
_EXAMPLE = "the first cell must be a raw cell that opens with ---, holds the front matter as YAML, and ends with ---"


def read_notebook(path: Path) -> tuple[dict[str, Any], bytes]:
    """A notebook file as JSON and as bytes; BadRunbook says in one line why it cannot be read."""
    content = _bytes(path)
    try:
        notebook = json.loads(content)
    except json.JSONDecodeError as error:
        raise BadRunbook(f"not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise BadRunbook(f"not text in UTF-8: byte {error.start}") from None
    except RecursionError:
        raise BadRunbook("not a notebook: it is nested too deeply") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise BadRunbook("JSON, but not a notebook: it has no list of cells")
    if notebook.get("nbformat") != 4:
        hint = "convert it with jupyter nbconvert --to notebook --nbformat 4"
        raise BadRunbook(f"notebook format {notebook.get('nbformat')!r}, expected 4", hint=hint)
    for number, cell in enumerate(notebook["cells"], start=1):
        if not isinstance(cell, dict) or not isinstance(cell.get("metadata", {}), dict):
            raise BadRunbook(f"cell {number} is not a notebook cell")
    return notebook, content


def source_of(cell: Mapping[str, Any]) -> str:
    """The text of a cell, which the format allows as one string or as a list of lines."""
    source = cell.get("source", "")
    return "".join(str(line) for line in source) if isinstance(source, list) else str(source)


def front_matter(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping in the first raw cell; BadRunbook names line and fault."""
    cells = notebook["cells"]
    if not cells or cells[0].get("cell_type") != "raw":
        raise BadRunbook("no front matter", hint=_EXAMPLE)
    lines = source_of(cells[0]).strip().splitlines()
    if len(lines) < 2 or lines[0].rstrip() != "---" or lines[-1].rstrip() not in ("---", "..."):
        raise BadRunbook("front matter: not between two lines of ---", hint=_EXAMPLE)
    return parse_front_matter("\n".join(["", *lines[1:-1], ""]))


def parse_front_matter(text: str) -> dict[str, Any]:
    """A mapping from YAML text in which every value is what it looks like.

    >>> parse_front_matter("id: SOP-004\\nneeds: [target:postgres]")
    {'id': 'SOP-004', 'needs': ['target:postgres']}
    >>> parse_front_matter("owner: no")
    Traceback (most recent call last):
    ops_lib.model.errors.BadRunbook: front matter: line 1: owner: YAML reads no as a bool: write "no" in quotes if it is text
    """  # noqa: E501
    if len(text) > LARGEST_FRONT_MATTER:
        raise BadRunbook(f"front matter: larger than {LARGEST_FRONT_MATTER} characters")
    try:
        value, _ = read_plain(text)
    except BadInput as error:
        raise BadRunbook(f"front matter: {error.message}") from None
    if not isinstance(value, dict):
        raise BadRunbook("front matter: expected lines such as id: SOP-004", hint=_EXAMPLE)
    return value


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise BadRunbook("a folder, not a notebook")
        if path.exists() and not path.is_file():
            raise BadRunbook("not an ordinary file")
        if path.stat().st_size > LARGEST_FILE:
            raise BadRunbook(f"larger than {LARGEST_FILE // 1_000_000} MB", hint="commit notebooks without outputs")
        return path.read_bytes()
    except OSError as error:
        raise BadRunbook(f"cannot be read: {error.strerror or error}") from None
