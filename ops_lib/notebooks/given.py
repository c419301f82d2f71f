"""Parameters as a YAML file gives them: every value as it is written, for the parameter itself to read.

So `no`, `1:30` and `2026-01-31` mean what they look like, and no type of YAML's comes between a file and a runbook.
"""

from typing import Any

import yaml

from ops_lib.model.errors import BadParameter
from ops_lib.notebooks.front_matter import LARGEST_FRONT_MATTER

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = "tag:yaml.org,2002:null"
_EXAMPLE = "write one line each, such as days: 30"


def parse_given(text: str) -> dict[str, Any]:
    """The parameters of a text: texts, lists of texts, or nothing for `null`; BadParameter says what is wrong.

    >>> parse_given("days: 30\\nonly: [raw, mart]\\nsince: null\\nfast: no")
    {'days': '30', 'only': ['raw', 'mart'], 'since': None, 'fast': 'no'}
    """
    if len(text) > LARGEST_FRONT_MATTER:
        raise BadParameter(f"larger than {LARGEST_FRONT_MATTER} characters", hint=_EXAMPLE)
    try:
        node = _Loader(text).get_single_node()
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise BadParameter(f"{line}{getattr(error, 'problem', None) or error}", hint=_EXAMPLE) from None
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise BadParameter("not a mapping of names to values", hint=_EXAMPLE)
    found: dict[str, Any] = {}
    for name, value in node.value:
        if str(name.value) in found:
            raise BadParameter(f"line {name.start_mark.line + 1}: {name.value} is given twice", hint="give it once")
        found[str(name.value)] = _value(value)
    return found


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag == _NULL else str(node.value)
    if isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in node.value):
        return [_value(item) for item in node.value]
    raise BadParameter(f"line {node.start_mark.line + 1}: neither a value nor a list of values", hint=_EXAMPLE)
