"""Names and words in the parser's tree: tables, columns, types, functions, constants."""

# mypy: disable-error-code="union-attr,index,misc"
# pglast types every field as optional, which in the parse tree of a valid statement these are not.

from collections.abc import Iterable, Iterator
from typing import Any

from pglast import ast
from pglast.stream import RawStream

Node = Any


def dotted(parts: Iterable[Node], schema: str = "public") -> str:
    """A name as a list of its parts, with the schema in which a bare one is looked for.

    >>> dotted([ast.String(sval="t")]), dotted([ast.String(sval="raw"), ast.String(sval="t")])
    ('public.t', 'raw.t')
    """
    words = [part.sval for part in parts]
    return ".".join(words[-2:]) if len(words) > 1 else f"{schema}.{words[0]}"


def relation(node: Node, schema: str = "public") -> str:
    """The name of a RangeVar."""
    return f"{node.schemaname or schema}.{node.relname}"


def walk(node: Any) -> Iterator[Node]:
    """A node and everything below it."""
    if isinstance(node, ast.Node):
        yield node
        for name in node:
            yield from walk(getattr(node, name))
    elif isinstance(node, tuple | list):
        for item in node:
            yield from walk(item)


def calls(node: Node) -> Iterator[tuple[str, Node]]:
    """Every call of a function below a node, with its bare name in lower case."""
    for found in walk(node):
        if isinstance(found, ast.FuncCall):
            yield found.funcname[-1].sval.lower(), found


def columns(node: Node) -> set[str]:
    """The columns that are named below a node."""
    found = (each for each in walk(node) if isinstance(each, ast.ColumnRef))
    return {each.fields[-1].sval for each in found if isinstance(each.fields[-1], ast.String)}


def constants(node: Node) -> set[str]:
    """The constants below a node, as text."""
    return {literal(each) for each in walk(node) if isinstance(each, ast.A_Const) and not each.isnull}


def literal(node: Node) -> str:
    """A constant as text, whatever its type."""
    kinds = ("sval", "ival", "fval", "boolval", "bsval")
    return str(next((getattr(node.val, each) for each in kinds if hasattr(node.val, each)), ""))


def strings(node: Node) -> set[str]:
    """The text constants below a node."""
    found = (each for each in walk(node) if isinstance(each, ast.A_Const))
    return {each.val.sval for each in found if isinstance(each.val, ast.String)}


def type_name(node: Node) -> str:
    """A type by its bare name, without length: `varchar`, `int4`, `timestamptz`."""
    return str(node.names[-1].sval)


def lengths(node: Node) -> tuple[int, ...]:
    """What stands in the parentheses of a type."""
    return tuple(int(literal(each)) for each in node.typmods or () if literal(each).lstrip("-").isdigit())


def sql(node: Node) -> str:
    """A node as SQL again."""
    return str(RawStream()(node))


def kind(node: Node) -> str:
    """What a node is called in the tree."""
    return type(node).__name__
