"""The story so far: what the files before this statement, and the file itself, have made and promised."""

# mypy: disable-error-code="union-attr,index"

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ops_lib.model.lint import TableUse
from ops_lib.postgres.lint.names import Node, dotted, relation


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A CHECK or foreign key that a file has added; `node` is nothing where only its validation was seen."""

    name: str
    node: Any
    validated: bool
    transaction: tuple[int, int]


@dataclass(slots=True, kw_only=True)
class Story:
    """What is known when a statement comes. Rules read it; only `observing` writes."""

    use: Mapping[str, TableUse] = field(default_factory=dict)
    runner: bool = False
    schema: str = "public"
    new: set[str] = field(default_factory=set)
    tables_of_indexes: dict[str, str] = field(default_factory=dict)
    dropped_indexes: set[str] = field(default_factory=set)
    column_types: dict[tuple[str, str], Node] = field(default_factory=dict)
    checks: dict[tuple[str, str], Check] = field(default_factory=dict)
    enum_values: dict[str, tuple[str, tuple[int, int]]] = field(default_factory=dict)
    timeout: bool = False
    local_timeout: bool = False
    warned_of_timeout: bool = False
    exclusive: set[str] = field(default_factory=set)
    transaction: tuple[int, int] = (0, 0)

    def open_file(self) -> None:
        """Another file: another session, with the settings that sessions have."""
        self.schema, self.timeout, self.warned_of_timeout = "public", False, False
        self.enter((self.transaction[0] + 1, 0))

    def enter(self, transaction: tuple[int, int]) -> None:
        if transaction != self.transaction:
            self.transaction, self.local_timeout = transaction, False
            self.exclusive = set()

    @property
    def bounded(self) -> bool:
        """Whether a wait for a lock would end by itself."""
        return self.timeout or self.local_timeout

    def name(self, node: Node) -> str:
        return relation(node, self.schema)

    def dotted(self, parts: Iterable[Node]) -> str:
        return dotted(parts, self.schema)

    def is_new(self, table: str) -> bool:
        return table in self.new

    def is_empty(self, table: str) -> bool:
        return table in self.use and self.use[table].empty

    def checks_of(self, table: str) -> list[Check]:
        """The constraints of a table that are proven."""
        return [check for (owner, _), check in self.checks.items() if owner == table and check.validated]
