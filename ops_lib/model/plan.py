"""Plans: the statements of a change and what they touch, in the one form of which digests are taken."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ops_lib.model.errors import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a change would do: its statements in order, the values bound in them, the objects that they name.

    Nothing in it depends on when it was made: the same change gives the same plan.
    """

    title: str
    statements: tuple[str, ...]
    objects: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "statements": list(self.statements),
            "objects": list(self.objects),
            "values": dict(self.values),
        }


def plan_from(described: object) -> Plan:
    """The plan that JSON describes; BadInput where it describes none.

    >>> plan_from({"title": "t", "statements": ["SELECT 1"], "objects": [], "values": {}}).statements
    ('SELECT 1',)
    """
    match described:
        case {"title": str(title), "statements": list(statements), "objects": list(objects), "values": dict(values)}:
            if statements and all(isinstance(text, str) for text in (*statements, *objects)):
                return Plan(title=title, statements=tuple(statements), objects=tuple(sorted(objects)), values=values)
    raise BadInput("this is no plan that could be approved", hint="make one with plan(...)")
