"""Predicates: what a statement compares, and the form of it whose plan can be asked for without a right to write.

pg_stat_statements keeps statements with `$1` for their constants, and in that form some no longer parse; conditions are
read from the plan rather than from the text, since there views, functions and aliases are resolved to real tables.
"""

# mypy: disable-error-code="union-attr,index,arg-type"
# pglast types every field as optional, which in the parse tree of a valid statement these are not.

import re
from dataclasses import dataclass
from typing import Any

from pglast import ast, enums, parse_sql
from pglast.parser import ParseError
from pglast.stream import RawStream
from pglast.visitors import Ancestor, Continue, Delete, Visitor

Node = Any

_TYPED_PARAMETER = re.compile(
    r"\b(date|time|timestamp|timestamptz|interval|bool|boolean|int|integer|bigint|numeric|text|uuid|json|jsonb)"
    r"\s+(\$\d+)",
    re.IGNORECASE,
)
_PLAN_REFERENCE = re.compile(r"\b(?:hashed )?(?:SubPlan|InitPlan) \d+(?: \(returns [^)]*\))?")
_RANGES = frozenset({"<", "<=", ">", ">="})
_RELABELLED = {("character varying", "text"), ("varchar", "text")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What is compared about one table, all of it at once (AND).

    `equal` columns are searched for single values, `ranges` for an interval; `hidden` ones are compared only inside an
    expression, which an index on the plain column does not serve.
    """

    equal: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explainable:
    """A statement as a plain SELECT with the same search, its parameters numbered without gaps."""

    sql: str
    parameters: int
    relations: tuple[tuple[str | None, str], ...]
    functions: tuple[tuple[str | None, str], ...]


def explainable(text: str) -> Explainable | None:
    """The search that a statement makes; nothing for what does not search, or cannot be parsed (cut off, foreign).

    >>> explainable("UPDATE a.t SET x = x + $1 WHERE id = $2 AND day > date $3").sql
    'SELECT 1 FROM a.t WHERE id = $1 AND day > CAST($2 AS date)'
    """
    try:
        parsed = parse_sql(_TYPED_PARAMETER.sub(r"\2::\1", text))
    except ParseError:
        return None
    if len(parsed) != 1:
        return None
    search = _search(parsed[0].stmt)
    if search is None:
        return None
    _Unlock()(search)
    numbers = _Renumber()
    numbers(search)
    names = _Names()
    names(search)
    return Explainable(
        sql=RawStream()(search),
        parameters=len(numbers.seen),
        relations=tuple(sorted(names.relations - names.local, key=str)),
        functions=tuple(sorted(names.functions, key=str)),
    )


def _search(statement: Node) -> Node | None:
    """The SELECT that finds the rows which a statement reads or changes."""
    if isinstance(statement, ast.SelectStmt):
        return None if statement.valuesLists else _with_searches(statement)
    if isinstance(statement, ast.UpdateStmt | ast.DeleteStmt):
        more = getattr(statement, "fromClause", None) or getattr(statement, "usingClause", None) or ()
        found = ast.SelectStmt(
            targetList=(*_computed(statement), *_one()),
            fromClause=(statement.relation, *more),
            whereClause=statement.whereClause,
            withClause=statement.withClause,
            groupDistinct=False,
            limitOption=enums.LimitOption.LIMIT_OPTION_DEFAULT,
            op=enums.SetOperation.SETOP_NONE,
            all=False,
        )
        return _with_searches(found)
    inner = getattr(statement, "selectStmt", None) or getattr(statement, "query", None)
    return _search(inner) if isinstance(inner, ast.Node) else None


def _one() -> tuple[ast.ResTarget, ...]:
    return (ast.ResTarget(val=ast.A_Const(val=ast.Integer(ival=1), isnull=False)),)


def _computed(statement: Node) -> tuple[ast.ResTarget, ...]:
    """The values of SET that search for themselves."""
    targets = getattr(statement, "targetList", None) or ()
    return tuple(ast.ResTarget(val=target.val) for target in targets if isinstance(target.val, ast.SubLink))


def _with_searches(select: Node) -> Node:
    """Common table expressions that change something become their search too."""
    for cte in select.withClause.ctes if select.withClause else ():
        if not isinstance(cte.ctequery, ast.SelectStmt):
            cte.ctequery = _returning(cte.ctequery)
    return select


def _returning(statement: Node) -> Node:
    search = _search(statement)
    if search is None:
        return statement
    answered = getattr(statement, "returningClause", None)
    if answered is not None and not isinstance(statement, ast.InsertStmt):
        search.targetList = answered.exprs
    return search


class _Unlock(Visitor):
    """FOR UPDATE needs a right to write and changes no plan that matters here."""

    def visit_LockingClause(self, ancestors: Ancestor, node: Node) -> Any:  # noqa: N802
        return Delete


class _Renumber(Visitor):
    def __init__(self) -> None:
        self.seen: dict[int, int] = {}

    def visit_ParamRef(self, ancestors: Ancestor, node: Node) -> Any:  # noqa: N802
        node.number = self.seen.setdefault(node.number, len(self.seen) + 1)
        return Continue


class _Names(Visitor):
    def __init__(self) -> None:
        self.relations: set[tuple[str | None, str]] = set()
        self.local: set[tuple[str | None, str]] = set()
        self.functions: set[tuple[str | None, str]] = set()

    def visit_RangeVar(self, ancestors: Ancestor, node: Node) -> None:  # noqa: N802
        self.relations.add((node.schemaname, node.relname))

    def visit_CommonTableExpr(self, ancestors: Ancestor, node: Node) -> None:  # noqa: N802
        self.local.add((None, node.ctename))

    def visit_FuncCall(self, ancestors: Ancestor, node: Node) -> None:  # noqa: N802
        *schema, name = [part.sval for part in node.funcname]
        self.functions.add((schema[0] if schema else None, name))


def conditions(expressions: list[str], alias: str, types: dict[str, str]) -> Conditions:
    """What expressions of a plan, taken together, compare about the table that the plan calls `alias`.

    >>> conditions(["((t.a = $1) AND ((t.at)::date = $2) AND (t.n > 5))"], "t", {"at": "timestamp with time zone"})
    Conditions(equal=('a',), ranges=('n',), hidden=('at',))
    """
    found = _Found(alias, types)
    for expression in expressions:
        for clause in _clauses(expression):
            found.clause(clause)
    plain = (*found.equal, *found.ranges)
    return Conditions(
        equal=tuple(dict.fromkeys(found.equal)),
        ranges=tuple(name for name in dict.fromkeys(found.ranges) if name not in found.equal),
        hidden=tuple(name for name in dict.fromkeys(found.hidden) if name not in plain),
    )


def columns_of(expression: str) -> tuple[tuple[str | None, str], ...]:
    """The columns that an expression of a plan is made of, each with its alias.

    >>> columns_of("t.at DESC"), columns_of("lower(t.name)")
    ((('t', 'at'),), (('t', 'name'),))
    """
    stripped = re.sub(r"( COLLATE \S+)?( DESC| ASC)?( NULLS (FIRST|LAST))?$", "", expression)
    return tuple(column for clause in _clauses(stripped) for column in _columns(clause))


def is_plain(expression: str) -> bool:
    """Whether a sort key is a column and nothing else.

    >>> is_plain("t.at DESC"), is_plain("lower(t.name)")
    (True, False)
    """
    return (
        re.fullmatch(r"(?:[\w$]+|\"[^\"]+\")(?:\.(?:[\w$]+|\"[^\"]+\"))*(?: DESC| ASC)?(?: NULLS \w+)?", expression)
        is not None
    )


def _clauses(expression: str) -> list[Node]:
    try:
        (parsed,) = parse_sql(f"SELECT 1 WHERE {_PLAN_REFERENCE.sub('NULL', expression)}")
    except (ParseError, ValueError):
        return []
    search: Node = parsed.stmt
    return _conjuncts(search.whereClause)


def _conjuncts(node: Node) -> list[Node]:
    if isinstance(node, ast.BoolExpr) and node.boolop == enums.BoolExprType.AND_EXPR:
        return [part for arm in node.args for part in _conjuncts(arm)]
    return [node]


def _columns(node: Node) -> list[tuple[str | None, str]]:
    found = _Columns()
    found(node)
    return found.columns


class _Columns(Visitor):
    def __init__(self) -> None:
        self.columns: list[tuple[str | None, str]] = []

    def visit_ColumnRef(self, ancestors: Ancestor, node: Node) -> None:  # noqa: N802
        names = [part.sval for part in node.fields if isinstance(part, ast.String)]
        if names:
            self.columns.append((names[-2] if len(names) > 1 else None, names[-1]))


class _Found:
    """Sorts the clauses of one table's filter by what an index could do for them."""

    def __init__(self, alias: str, types: dict[str, str]) -> None:
        self.alias, self.types = alias, types
        self.equal: list[str] = []
        self.ranges: list[str] = []
        self.hidden: list[str] = []

    def clause(self, node: Node) -> None:
        if not isinstance(node, ast.A_Expr) or node.lexpr is None:
            return
        operator = node.name[-1].sval
        if operator != "=" and operator not in _RANGES:
            return
        for side, other in ((node.lexpr, node.rexpr), (node.rexpr, node.lexpr)):
            mine = self._mine(side)
            if mine and not self._mine(other):
                self._sort(side, mine, operator)

    def _sort(self, side: Node, mine: list[str], operator: str) -> None:
        column = self._column(side)
        if column is None:
            self.hidden.extend(mine)
        elif operator == "=":
            self.equal.append(column)
        else:
            self.ranges.append(column)

    def _mine(self, node: Node) -> list[str]:
        parts = node if isinstance(node, tuple) else (node,)
        columns = [column for part in parts if isinstance(part, ast.Node) for column in _columns(part)]
        return [name for alias, name in columns if alias in (self.alias, None)]

    def _column(self, node: Node) -> str | None:
        """The column that a side of a comparison is, seen through a cast that costs nothing."""
        if isinstance(node, ast.TypeCast):
            column = self._column(node.arg)
            to = node.typeName.names[-1].sval
            same = column is not None and (self.types.get(column, "").split("(")[0], to) in _RELABELLED
            return column if same else None
        if isinstance(node, ast.ColumnRef) and len(node.fields) <= 2:
            return str(node.fields[-1].sval)
        return None
