"""YAML without any of its surprises: every value is what it looks like, and the line of each is known.

What YAML would turn into something else is refused with the quoted form; so are tags, aliases, and keys given twice.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import yaml

from ops_lib.model.errors import BadInput
from ops_lib.model.place import Way, dotted

DEEPEST: Final = 8
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_PLAIN = {
    "bool": re.compile(r"true|false"),
    "int": re.compile(r"-?(?:0|[1-9][0-9]{0,18})"),
    "float": re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:e[+-][0-9]+)?"),
    "null": re.compile(r"null|~|"),
}
_SCALARS: Mapping[str, Callable[[str], Any]] = {
    "bool": lambda text: text == "true",
    "int": int,
    "float": float,
    "null": lambda _: None,
}


def read_plain(text: str, *, named: Callable[[Way], str] = dotted) -> tuple[Any, dict[Way, int]]:
    """The value of a text, and the line of each value in it; BadInput names line, field and fault in one line.

    `named` is how a field is called. An empty text has no value.

    >>> read_plain("context:\\n  - reverts: false")
    ({'context': [{'reverts': False}]}, {(): 1, ('context',): 2, ('context', 0): 2, ('context', 0, 'reverts'): 2})
    >>> read_plain("owner: no")
    Traceback (most recent call last):
    ops_lib.model.errors.BadInput: line 1: owner: YAML reads no as a bool: write "no" in quotes if it is text
    """
    try:
        _check_depth(text)
        node = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise BadInput(f"{line}{', '.join(filter(None, (error.context, error.problem)))}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise BadInput(str(error).splitlines()[0]) from None
    reading = _Reading(named)
    return (reading.value(node, ()) if node else None), reading.lines


def _check_depth(text: str) -> None:
    """Refuse deep nesting before anything recurses into it."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            line = f"line {event.start_mark.line + 1}: " if event.start_mark else ""
            raise BadInput(f"{line}nested too deeply")


class _Reading:
    """One reading of a document."""

    def __init__(self, named: Callable[[Way], str]) -> None:
        self.lines: dict[Way, int] = {}
        self._named = named
        self._seen: set[int] = set()

    def value(self, node: yaml.Node, way: Way) -> Any:
        if id(node) in self._seen:
            raise self._fault(node, way, "an alias (*name) is not accepted: write the value out")
        self._seen.add(id(node))
        self.lines[way] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, way)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.value(item, (*way, place)) for place, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag.startswith(_TAG):
            return self._scalar(node, way)
        raise self._fault(node, way, f"the tag {node.tag} is not accepted")

    def _mapping(self, node: yaml.MappingNode, way: Way) -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, way)
            if key in pairs:
                raise self._fault(key_node, way, f"{key} is given twice")
            pairs[key] = self.value(value_node, (*way, key))
        return pairs

    def _key(self, node: yaml.Node, way: Way) -> str:
        key = self._scalar(node, way) if isinstance(node, yaml.ScalarNode) else node.value
        if not isinstance(key, str):
            raise self._fault(node, way, f"the key {key!r:.60} is not text")
        return key

    def _scalar(self, node: yaml.ScalarNode, way: Way) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if kind == "str":
            return node.value
        if kind in _PLAIN and not node.style and _PLAIN[kind].fullmatch(node.value):
            return _SCALARS[kind](node.value)
        told = f'YAML reads {node.value} as a {kind}: write "{node.value}" in quotes if it is text'
        raise self._fault(node, way, told)

    def _fault(self, node: yaml.Node, way: Way, message: str) -> BadInput:
        subject = f"{self._named(way)}: " if way else ""
        return BadInput(f"line {node.start_mark.line + 1}: {subject}{message}")
