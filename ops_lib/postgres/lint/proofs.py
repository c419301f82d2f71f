"""Proofs: constraints that are there already and make a scan needless."""

# mypy: disable-error-code="union-attr,index,attr-defined"

from typing import Any

from pglast import ast, parse_sql
from pglast.parser import ParseError

from ops_lib.postgres.lint.names import columns, constants, strings
from ops_lib.postgres.lint.story import Story


def proves_not_null(story: Story, table: str, column: str) -> bool:
    """Whether a validated constraint says that a column has no null.

    A constraint that was validated here and made elsewhere proves it by its name, since nothing else is known of it.
    """
    for check in story.checks_of(table):
        if check.node is None and column in check.name:
            return True
        if check.node is not None and _says_not_null(check.node, column):
            return True
    return any(_says_not_null(node, column) for node in _live(story, table))


def proves_bound(story: Story, table: str, bound: Any) -> bool:
    """Whether a validated CHECK of a table says what the bound of a partition says, as far as its constants tell."""
    wanted = {each for part in (bound.lowerdatums, bound.upperdatums, bound.listdatums) for each in constants(part)}
    if not wanted or bound.strategy == "h":
        return False
    made = [check for check in story.checks_of(table) if check.node is None or check.node.raw_expr is not None]
    if any(check.node is None or wanted <= constants(check.node.raw_expr) for check in made):
        return True
    dates = {date for date in wanted if date[:1].isdigit()}
    return any(_holds(node, wanted, dates) for node in _live(story, table))


def _holds(node: ast.Constraint, wanted: set[str], dates: set[str]) -> bool:
    """The server writes constants out in full: 2025-01-01 becomes 2025-01-01 00:00:00+00."""
    texts = strings(node) | constants(node)
    return all(each in texts or (each in dates and any(text.startswith(each) for text in texts)) for each in wanted)


def _live(story: Story, table: str) -> list[Any]:
    """The constraints that the live table has."""
    use = story.use.get(table)
    found = []
    for number, text in enumerate(use.checks if use else ()):
        try:
            (parsed,) = parse_sql(f"ALTER TABLE t ADD CONSTRAINT c{number} {text}")
        except ParseError:
            continue
        found.append(parsed.stmt.cmds[0].def_)
    return found


def _says_not_null(constraint: Any, column: str) -> bool:
    if constraint.contype.name == "CONSTR_NOTNULL":
        return column in {key.sval for key in constraint.keys or ()}
    return any(_tests(part, column) for part in _conjuncts(constraint.raw_expr))


def _conjuncts(node: Any) -> list[Any]:
    """The conditions that all hold where one does."""
    if isinstance(node, ast.BoolExpr) and node.boolop.name == "AND_EXPR":
        return [part for each in node.args for part in _conjuncts(each)]
    return [node]


def _tests(node: Any, column: str) -> bool:
    return isinstance(node, ast.NullTest) and node.nulltesttype.name == "IS_NOT_NULL" and columns(node.arg) == {column}
