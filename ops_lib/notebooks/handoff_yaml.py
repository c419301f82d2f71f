"""Handoffs as YAML: what another team writes, and what it is given to read."""

from collections.abc import Mapping
from typing import Any

import yaml

from ops_lib.model.context import field_of
from ops_lib.model.errors import BadInput
from ops_lib.model.handoff import LONGEST, Handoff, read_handoff
from ops_lib.notebooks.plain_yaml import read_plain

_WIDTH = 100
_RARE_BREAKS = "\x85\u2028\u2029"


def parse_handoff(text: str, *, name: str = "handoff") -> Handoff:
    """The handoff that a text holds; BadInput says in one line what does not fit, with its line and field.

    >>> parse_handoff("trigger: backup_moved\\nto: etl").to_json()
    {'trigger': 'backup_moved', 'to': 'etl'}
    >>> parse_handoff("trigger: backup_moved\\nurgency: soon", name="moved.yaml")
    Traceback (most recent call last):
    ops_lib.model.errors.BadInput: moved.yaml: line 2: urgency is 'soon', expected low, medium or high
    """
    if len(text) > LONGEST:
        raise BadInput(f"{name}: longer than {LONGEST} characters", hint="attach what is long, and name it")
    try:
        value, lines = read_plain(text, named=field_of)
    except BadInput as error:
        raise BadInput(f"{name}: {error.message}") from None
    return read_handoff(value, lines, name=name)


def handoff_yaml(message: Mapping[str, Any]) -> str:
    """A canonical message as the handbook writes it, with a list of one-key mappings for its context.

    >>> print(handoff_yaml({"trigger": "backup_moved", "context": {"place": "s3"}}), end="")
    trigger: backup_moved
    context:
    - place: s3
    """
    listed = [{name: value} for name, value in message.get("context", {}).items()]
    told = {name: listed if name == "context" else value for name, value in message.items()}
    return yaml.dump(told, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


class _Dumper(yaml.SafeDumper):
    """Writes texts so that they come back as they were: PyYAML's own quotes turn rarer line breaks into plain ones."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    rare = any(letter in text for letter in _RARE_BREAKS)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if rare else None)


_Dumper.add_representer(str, _text)
