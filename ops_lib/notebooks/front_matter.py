"""The front matter of a notebook: YAML in its first raw cell, read without any of YAML's surprises.

The file is read as plain JSON, since listing a catalogue must not wait for Jupyter's own libraries.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from ops_lib.model.errors import BadRunbook

LARGEST_FILE: Final = 20_000_000
LARGEST_FRONT_MATTER: Final = 16_000
DEEPEST: Final = 8
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_PLAIN = {
    "bool": re.compile(r"true|false"),
    "int": re.compile(r"-?(?:0|[1-9][0-9]{0,17})"),
    "float": re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+"),
    "null": re.compile(r"null|~|"),
}
_SCALARS: Mapping[str, Callable[[str], Any]] = {
    "bool": lambda text: text == "true",
    "int": int,
    "float": float,
    "null": lambda _: None,
}
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
    ops_lib.model.errors.BadRunbook: front matter: line 1: YAML reads no as a bool: write "no" in quotes if it is text
    """
    if len(text) > LARGEST_FRONT_MATTER or text.count("[") + text.count("{") > 200:
        raise BadRunbook(f"front matter: larger than {LARGEST_FRONT_MATTER} characters or too deeply nested")
    try:
        node = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise BadRunbook(f"front matter: {line}{', '.join(filter(None, (error.context, error.problem)))}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise BadRunbook(f"front matter: {str(error).splitlines()[0]}") from None
    if not isinstance(node, yaml.MappingNode):
        raise BadRunbook("front matter: expected lines such as id: SOP-004", hint=_EXAMPLE)
    value: dict[str, Any] = _value(node, set(), 0)
    return value


def _value(node: yaml.Node, seen: set[int], depth: int) -> Any:
    if id(node) in seen:
        raise _fault(node, "an alias (*name) is not accepted: write the value out")
    if depth > DEEPEST:
        raise _fault(node, "nested too deeply")
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
        return _mapping(node, seen, depth)
    if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
        return [_value(item, seen, depth + 1) for item in node.value]
    if isinstance(node, yaml.ScalarNode) and node.tag.startswith(_TAG):
        return _scalar(node)
    raise _fault(node, f"the tag {node.tag} is not accepted")


def _mapping(node: yaml.MappingNode, seen: set[int], depth: int) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _value(key_node, seen, depth + 1)
        if not isinstance(key, str):
            raise _fault(key_node, f"the key {key!r} is not text")
        if key in pairs:
            raise _fault(key_node, f"{key} is given twice")
        pairs[key] = _value(value_node, seen, depth + 1)
    return pairs


def _scalar(node: yaml.ScalarNode) -> Any:
    kind = node.tag.removeprefix(_TAG)
    if kind == "str":
        return node.value
    if kind in _PLAIN and not node.style and _PLAIN[kind].fullmatch(node.value):
        return _SCALARS[kind](node.value)
    raise _fault(node, f'YAML reads {node.value} as a {kind}: write "{node.value}" in quotes if it is text')


def _fault(node: yaml.Node, message: str) -> BadRunbook:
    return BadRunbook(f"front matter: line {node.start_mark.line + 1}: {message}")


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
