"""Bodies of functions: the searches inside the SQL and PL/pgSQL functions that a statement calls.

pg_stat_statements counts by default only what a client sent, so a slow function hides the statements that make it slow.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pglast import ast, parse_plpgsql, parse_sql
from pglast.parser import ParseError
from pglast.stream import RawStream
from pglast.visitors import Ancestor, Continue, Visitor

from ops_lib.model.errors import StatementFailed
from ops_lib.postgres import questions
from ops_lib.postgres.predicates import Explainable, explainable
from ops_lib.postgres.session import Session

STEM = "functions"
MOST_STATEMENTS = 10


def searches(session: Session, search: Explainable) -> list[Explainable]:
    """What the functions of a statement search for themselves; nothing of those that cannot be read."""
    names = sorted({name for _, name in search.functions})
    try:
        rows = session.answer(questions.__name__, STEM, "bodies", {"names": names})
    except StatementFailed:
        return []
    wanted = [row for row in rows if _called(row, search)]
    found = (explainable(text) for row in wanted for text in _statements(row))
    return [one for one in found if one is not None and one.relations][:MOST_STATEMENTS]


def _called(row: Mapping[str, Any], search: Explainable) -> bool:
    return any(name == row["name"] and schema in (None, row["schema"]) for schema, name in search.functions)


def _statements(row: Mapping[str, Any]) -> Iterator[str]:
    """The statements of one function, with its variables as typed parameters."""
    try:
        if row["language"] == "plpgsql":
            variables, texts = _plpgsql(row["definition"])
        else:
            variables, texts = {}, [row["body"]]
        variables.update(zip(row["argument_names"] or (), row["argument_types"], strict=False))
        for text in texts:
            for statement in parse_sql(text):
                yield _bound(statement.stmt, row["argument_types"], variables)
    except (ParseError, ValueError, KeyError):
        return


def _plpgsql(definition: str) -> tuple[dict[str, str], list[str]]:
    """The variables with their types and the queries of a PL/pgSQL function; expressions that read no table are not."""
    tree = parse_plpgsql(definition)
    text = tree if isinstance(tree, str) else json.dumps(tree)
    parsed = json.loads(text)
    variables: dict[str, str] = {}
    texts: list[str] = []
    for node in _walk(parsed):
        if "PLpgSQL_var" in node:
            variable = node["PLpgSQL_var"]
            kind = variable.get("datatype", {}).get("PLpgSQL_type", {}).get("typname", "text")
            variables[variable["refname"]] = kind
        if "PLpgSQL_expr" in node and re.search(
            r"\b(from|update|into)\b", node["PLpgSQL_expr"]["query"], re.IGNORECASE
        ):
            texts.append(_query(node["PLpgSQL_expr"]["query"]))
    return variables, texts


def _query(text: str) -> str:
    """An expression of PL/pgSQL as a statement."""
    return text if re.match(r"\s*(select|with|insert|update|delete|merge)\b", text, re.IGNORECASE) else f"SELECT {text}"


def _walk(node: Any) -> Iterable[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(value)


def _bound(statement: Any, types: list[str], variables: dict[str, str]) -> str:
    """A statement of a function with its variables and arguments as parameters of their types."""
    binder = _Binder(types, variables)
    binder(statement)
    return str(RawStream()(statement))


class _Binder(Visitor):
    """Puts `CAST($n AS type)` for every argument and variable; a column of the same name would have won nowhere."""

    def __init__(self, types: list[str], variables: dict[str, str]) -> None:
        self.types, self.variables = types, variables
        self.numbers = {name: len(types) + place for place, name in enumerate(variables, start=1)}

    def visit_ColumnRef(self, ancestors: Ancestor, node: Any) -> Any:  # noqa: N802
        names = [part.sval for part in node.fields if isinstance(part, ast.String)]
        name = names[-1] if names else None
        if name not in self.variables or len(names) > 2:
            return Continue
        return _cast(self.numbers[name], self.variables[name])

    def visit_ParamRef(self, ancestors: Ancestor, node: Any) -> Any:  # noqa: N802
        if node.number <= len(self.types) and not isinstance(ancestors.node, ast.TypeCast):
            return _cast(node.number, self.types[node.number - 1])
        return Continue


def _cast(number: int, kind: str) -> Any:
    (parsed,) = parse_sql(f"SELECT CAST(${number} AS {kind})")
    select: Any = parsed.stmt
    return select.targetList[0].val
