"""DO blocks: the statements that they run, those too that they put together as text."""

# mypy: disable-error-code="union-attr,index,attr-defined"

import json
import re
from collections.abc import Iterator
from typing import Any

from pglast import ast, parse_plpgsql, parse_sql
from pglast.parser import ParseError

from ops_lib.postgres.lint.names import Node, walk
from ops_lib.postgres.sql_file import Statement

_PLACEHOLDER = re.compile(r"%(?:\d+\$)?[-\d]*([ILs])")
_STANDS_FOR = {"I": "unknown", "s": "unknown", "L": "'unknown'"}


def embedded(statement: Statement) -> Iterator[tuple[Node, int]]:
    """The statements in a DO block with their lines; nothing where the block is in another language.

    The names that a dynamic statement gets when it runs stand there as `unknown`.
    """
    try:
        parsed = parse_plpgsql(statement.text)
    except (ParseError, ValueError):
        return
    tree = json.loads(parsed) if isinstance(parsed, str) else parsed
    first = _body_line(statement)
    for text, dynamic, line in _queries(tree, 1):
        for node in _parsed(text, dynamic=dynamic):
            yield node, first + line - 1


def _body_line(statement: Statement) -> int:
    """The line on which the text between the dollar signs begins, which is its line 1."""
    body = next(each.arg.sval for each in statement.node.args if each.defname == "as")
    return statement.line + statement.text.count("\n", 0, max(statement.text.find(body), 0))


def _queries(tree: Any, line: int) -> Iterator[tuple[str, bool, int]]:
    """The text of every expression, whether it is a statement put together when it runs, and its line."""
    if isinstance(tree, list):
        for item in tree:
            yield from _queries(item, line)
    elif isinstance(tree, dict):
        for name, value in tree.items():
            if name == "PLpgSQL_expr":
                yield value["query"], False, line
            elif name in ("PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors"):
                yield value["query"]["PLpgSQL_expr"]["query"], True, value.get("lineno", line)
                yield from _queries(value.get("body"), line)
            else:
                yield from _queries(value, value.get("lineno", line) if isinstance(value, dict) else line)


def _parsed(text: str, *, dynamic: bool) -> Iterator[Node]:
    if dynamic:
        text = _put_together(text)
    for attempt in (text, f"SELECT {text}"):
        try:
            yield from (each.stmt for each in parse_sql(attempt))
        except ParseError:
            continue
        return


def _put_together(expression: str) -> str:
    """What an expression that makes a statement would make, as far as it can be read.

    >>> _put_together("format('ALTER TABLE %I ADD c int DEFAULT %L', t, 1)")
    "ALTER TABLE unknown ADD c int DEFAULT 'unknown'"
    >>> _put_together("'DROP TABLE ' || quote_ident(t) || ' CASCADE'")
    'DROP TABLE unknown CASCADE'
    """
    try:
        (parsed,) = parse_sql(f"SELECT {expression}")
    except ParseError:
        return ""
    return _text(parsed.stmt.targetList[0].val)


def _text(node: Node) -> str:
    if isinstance(node, ast.A_Expr) and node.name[-1].sval == "||":
        return _text(node.lexpr) + _text(node.rexpr)
    if isinstance(node, ast.FuncCall) and node.funcname[-1].sval == "format":
        pattern = next((each.val.sval for each in walk(node.args[0]) if _is_text(each)), "")
        return _PLACEHOLDER.sub(lambda match: _STANDS_FOR[match[1]], pattern)
    if _is_text(node):
        return str(node.val.sval)
    return _text(node.arg) if isinstance(node, ast.TypeCast) else "unknown"


def _is_text(node: Node) -> bool:
    return isinstance(node, ast.A_Const) and isinstance(node.val, ast.String)
