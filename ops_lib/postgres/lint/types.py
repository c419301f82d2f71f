"""Types: what changing one into another costs, as far as the old one is known."""

# mypy: disable-error-code="union-attr,attr-defined"

from enum import Enum, auto
from typing import Any, Final

from pglast import ast, parse_sql
from pglast.parser import ParseError

from ops_lib.model.finding import Severity
from ops_lib.postgres.lint.names import columns, lengths, type_name
from ops_lib.postgres.lint.story import Story

Type = tuple[str, tuple[int, ...]]


class Change(Enum):
    """What happens to the rows of a table when a column's type is changed."""

    NONE = auto()
    MAYBE = auto()
    REWRITE = auto()


_SAME: Final = {"character varying": "varchar", "character": "bpchar", "decimal": "numeric"}
_TEXTS: Final = frozenset({"text", "varchar"})
_COERCIBLE: Final = frozenset({("cidr", "inet"), ("xml", "text"), ("xml", "varchar")})
_GROWING: Final = frozenset({"varchar", "varbit"})
_PRECISE: Final = frozenset({"timestamp", "timestamptz", "time", "timetz", "interval"})
_PERHAPS: Final = frozenset(
    {"varchar", "varbit", "numeric", "timestamp", "timestamptz", "time", "timetz", "interval", "inet"}
)


def change_of_type(command: Any, table: str, story: Story) -> tuple[Change, Severity]:
    """What an ALTER COLUMN TYPE does; a warning where only the old type could tell.

    Without the old type, `text` counts as safe: it is what a varchar is changed to.
    """
    new, old = _type(command.def_.typeName), _old(command.name, table, story)
    if not _plain(command, new):
        return Change.REWRITE, Severity.CRITICAL
    if old is not None:
        safe = _safe(old, new)
        return (Change.NONE, Severity.INFO) if safe else (Change.REWRITE, Severity.CRITICAL)
    if new[0] in _TEXTS and not new[1]:
        return Change.MAYBE, Severity.INFO
    if new[0] in _PERHAPS:
        return Change.MAYBE, Severity.WARNING
    return Change.REWRITE, Severity.CRITICAL


def _safe(old: Type, new: Type) -> bool:
    """Whether the server keeps the rows as they are, and need not look at them.

    >>> _safe(("varchar", (20,)), ("text", ())), _safe(("varchar", (20,)), ("varchar", (10,)))
    (True, False)
    >>> _safe(("numeric", (8, 2)), ("numeric", (12, 2))), _safe(("int4", ()), ("int8", ()))
    (True, False)
    """
    (was, before), (name, after) = old, new
    if was in _TEXTS and name in _TEXTS and not after:
        return True
    if was != name:
        return (was, name) in _COERCIBLE
    if not after or before == after:
        return before == after or name in _GROWING | _PRECISE | {"numeric"}
    if name == "numeric":
        return bool(before) and before[0] <= after[0] and (*before, 0)[1] == (*after, 0)[1]
    return name in _GROWING | _PRECISE and bool(before) and before[0] <= after[0]


def _type(node: Any) -> Type:
    name = type_name(node)
    return _SAME.get(name, name), lengths(node)


def _old(column: str, table: str, story: Story) -> Type | None:
    """The type that a column has had: from the files, or from the live table."""
    if (added := story.column_types.get((table, column))) is not None:
        return _type(added)
    use = story.use.get(table)
    written = use.columns.get(column) if use else None
    try:
        return _type(parse_sql(f"SELECT NULL::{written}")[0].stmt.targetList[0].val.typeName) if written else None
    except ParseError:
        return None


def _plain(command: Any, new: Type) -> bool:
    """Whether the new value is the old one, without an expression that computes it."""
    using = command.def_.raw_default
    while isinstance(using, ast.TypeCast) and _type(using.typeName)[0] in {new[0], *_TEXTS}:
        using = using.arg
    return using is None or (isinstance(using, ast.ColumnRef) and columns(using) == {command.name})
