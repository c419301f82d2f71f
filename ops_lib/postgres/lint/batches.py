"""Batches: which share of a table an UPDATE or a DELETE touches, as far as its text tells."""

# mypy: disable-error-code="union-attr,index,arg-type"

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, Final

from pglast import ast

from ops_lib.postgres.lint.names import columns, walk

_KEY: Final = re.compile(
    r"(^|_)(id|ids|uuid|guid|ulid|pk|key|code|slug|name|version|email|ctid|no|number)$", re.IGNORECASE
)
_UP: Final = frozenset({"<", "<="})
_DOWN: Final = frozenset({">", ">="})


class Share(Enum):
    """How many rows: those of some keys, those of one value, or perhaps all."""

    BATCH = auto()
    SOME = auto()
    ALL = auto()


def share(node: Any, whole: Any) -> Share:
    """The share of its table that a statement touches; `whole` is the statement that holds it.

    >>> from pglast import parse_sql
    >>> for text in ("id BETWEEN 1 AND 9", "state = 'x'", "state IS NULL", "id > 5", "id > 5 AND id <= 9"):
    ...     tree = parse_sql(f"UPDATE t SET a = 1 WHERE {text}")[0].stmt
    ...     print(share(tree, tree).name)
    BATCH
    SOME
    ALL
    ALL
    BATCH
    """
    if _limited(whole):
        return Share.BATCH
    parts = list(_conjuncts(node.whereClause))
    up, down = (set().union(*(_ends(part, ends) for part in parts)) for ends in (_UP, _DOWN))
    if up & down or any(_KEY.search(column) for column in up):
        return Share.BATCH
    picked = [column for part in parts for column in _picked(part)]
    if any(_KEY.search(column) for column in picked):
        return Share.BATCH
    return Share.SOME if picked else Share.ALL


def _limited(whole: Any) -> bool:
    """Whether the rows are chosen by a subquery that has a LIMIT."""
    return any(isinstance(each, ast.SelectStmt) and each.limitCount is not None for each in walk(whole))


def _conjuncts(node: Any) -> Iterator[Any]:
    if isinstance(node, ast.BoolExpr) and node.boolop.name == "AND_EXPR":
        for each in node.args:
            yield from _conjuncts(each)
    elif node is not None:
        yield node


def _ends(part: Any, operators: frozenset[str]) -> set[str]:
    """The columns that a condition bounds on one side."""
    if not isinstance(part, ast.A_Expr):
        return set()
    if part.kind.name in ("AEXPR_BETWEEN", "AEXPR_BETWEEN_SYM"):
        return columns(part.lexpr)
    word = part.name[-1].sval
    if isinstance(part.lexpr, ast.ColumnRef):
        return columns(part.lexpr) if word in operators else set()
    turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(word)
    return columns(part.rexpr) if isinstance(part.rexpr, ast.ColumnRef) and turned in operators else set()


def _picked(part: Any) -> set[str]:
    """The columns that a condition compares with single values."""
    if isinstance(part, ast.CurrentOfExpr):
        return {"ctid"}
    if not isinstance(part, ast.A_Expr) or part.name[-1].sval != "=" or not isinstance(part.lexpr, ast.ColumnRef):
        return set()
    if part.kind.name in ("AEXPR_IN", "AEXPR_OP", "AEXPR_OP_ANY"):
        return columns(part.lexpr) if _is_value(part.rexpr) else set()
    return set()


def _is_value(node: Any) -> bool:
    """Whether something stands for single values: constants, parameters, or the variables of a block."""
    if any(isinstance(each, ast.SubLink) for each in walk(node)):
        return False
    references = [each for each in walk(node) if isinstance(each, ast.ColumnRef)]
    return all(len(each.fields) == 1 for each in references)
