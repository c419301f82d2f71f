"""The parameters cell: annotated literals with a help comment each, read as syntax and never executed.

papermill's own inspection loses a parameter whose comment holds `=`, so this is our own parser. What was given is
bound as data: the cell that a run injects is written from typed values, not from text that somebody typed.
"""

import ast
import io
import keyword
import re
import tokenize
import warnings
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from ops_lib.model.errors import BadRunbook
from ops_lib.model.parameter import FORMS, NAME, SECRET, Kind, Parameter, abridged
from ops_lib.model.runbook import RESERVED, TYPES
from ops_lib.notebooks.front_matter import source_of

TAG: Final = "parameters"
_RANGE = re.compile(r"\(([-+.\d][^()]*) to ([-+.\d][^()]*)\)\s*$")
_RANGED = ("int", "float", "date", "datetime", "timedelta")
_CALLS: Final[Mapping[str, Any]] = {"date": date, "datetime": datetime, "timedelta": timedelta}
_KINDS: Final = ", ".join(FORMS) + ', list[...], Literal["a", "b"] or one of these with | None'


class _CellError(ValueError):
    """A line of the cell that declares no parameter."""


def parameters_of(notebook: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """The parameters that a notebook takes, none where it has no cell tagged `parameters`."""
    tagged = [(n, cell) for n, cell in enumerate(notebook["cells"], start=1) if TAG in tags(cell)]
    if not tagged:
        return ()
    if len(tagged) > 1:
        raise BadRunbook(f"cells {' and '.join(str(n) for n, _ in tagged)} are both tagged {TAG}")
    number, cell = tagged[0]
    if cell.get("cell_type") != "code":
        raise BadRunbook(f"cell {number} is tagged {TAG} and is no code cell")
    return parse_parameters(source_of(cell))


def tags(cell: Mapping[str, Any]) -> list[str]:
    """The tags of a cell."""
    found = cell.get("metadata", {}).get("tags", [])
    return [str(tag) for tag in found] if isinstance(found, list) else []


def parse_parameters(source: str) -> tuple[Parameter, ...]:
    """The parameters that the text of a cell declares; BadRunbook names every line that is none.

    >>> [str(p) for p in parse_parameters("days: int = 7  # how far back, as now() - days = start (1 to 90)")]
    ['days: int = 7 (1 to 90)']
    """
    tree, comments = _syntax(source), _comments(source)
    found: dict[str, Parameter] = {}
    faults = []
    for statement in tree.body:
        try:
            parameter = _parameter(statement, comments)
            if parameter.name in found:
                raise _CellError(f"{parameter.name} is declared twice")
            found[parameter.name] = parameter
        except _CellError as fault:
            faults.append(f"line {statement.lineno}: {fault}")
    if faults:
        raise BadRunbook("parameters cell: " + "; ".join(faults))
    return tuple(found.values())


def binding_source(values: Mapping[str, Any]) -> str:
    """The source of the cell that binds typed values: data only.

    >>> print(binding_source({"days": 7, "since": timedelta(minutes=15)}))
    from datetime import timedelta
    days = 7
    since = timedelta(seconds=900)
    """
    lines = [f"{name} = {_literal(value)}" for name, value in values.items()]
    singles = [item for value in values.values() for item in (value if isinstance(value, list) else [value])]
    used = [name for name, kind in _CALLS.items() if any(type(item) is kind for item in singles)]
    return "\n".join([f"from datetime import {', '.join(used)}"] * bool(used) + lines)


def _literal(value: object) -> str:
    match value:
        case list():
            return "[" + ", ".join(_literal(item) for item in value) + "]"
        case datetime():
            return f"datetime.fromisoformat({value.isoformat()!r})"
        case date():
            return f"date.fromisoformat({value.isoformat()!r})"
        case timedelta():
            whole = value // timedelta(seconds=1)
            rest = f", microseconds={value.microseconds}" if value.microseconds else ""
            return f"timedelta(seconds={whole}{rest})"
        case None | bool() | int() | float() | str():
            return repr(value)
    raise TypeError(f"{type(value).__name__} is not the value of a parameter")


def _syntax(source: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except SyntaxError as error:
        raise BadRunbook(f"parameters cell: line {error.lineno}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError):
        raise BadRunbook("parameters cell: cannot be read as Python") from None


def _comments(source: str) -> dict[int, str]:
    """The help text at each line. The syntax was read before, so that every token is whole."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}


def _parameter(statement: ast.stmt, comments: Mapping[int, str]) -> Parameter:
    if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
        raise _CellError("expected an annotated literal such as window_minutes: int = 30, found something else")
    name = _name(statement.target.id)
    kind = _kind(statement.annotation)
    help_text = comments.get(statement.end_lineno or statement.lineno, "").strip()
    plain = Parameter(name=name, kind=kind, help=help_text)
    ranged = _ranged(plain, help_text)
    return ranged if statement.value is None else replace(ranged, default=_default(ranged, statement.value))


def _name(name: str) -> str:
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise _CellError(f"{abridged(name)} is no name for a parameter: use small letters, digits and _")
    if name in RESERVED or name in TYPES or name in FORMS or name == "list":
        reason = "the target is chosen by --target" if name == "target" else "it is a word of every runbook"
        raise _CellError(f"{name} is reserved: {reason}")
    if SECRET.fullmatch(name):
        raise _CellError(f"{name} would put a secret into the record: give a reference such as env:NAME instead")
    return name


def _kind(node: ast.expr) -> Kind:
    match node:
        case ast.Name(id=name) if name in FORMS:
            return Kind(base=name)
        case ast.BinOp(left=kind, op=ast.BitOr(), right=ast.Constant(value=None)):
            return replace(_kind(kind), optional=True)
        case ast.BinOp(left=ast.Constant(value=None), op=ast.BitOr(), right=kind):
            return replace(_kind(kind), optional=True)
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return Kind(base="list", item=_item(item))
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            return Kind(base="Literal", choices=_choices(choices))
    raise _CellError(f"{ast.unparse(node)[:60]} is no type of a parameter: expected {_KINDS}")


def _item(node: ast.expr) -> Kind:
    kind = _kind(node)
    if kind.item:
        raise _CellError("a list of lists is no type of a parameter")
    return kind


def _choices(node: ast.expr) -> tuple[str | int, ...]:
    nodes = node.elts if isinstance(node, ast.Tuple) else [node]
    values = [item.value for item in nodes if isinstance(item, ast.Constant)]
    choices = tuple(value for value in values if isinstance(value, str | int) and not isinstance(value, bool))
    if not choices or len(choices) != len(nodes):
        raise _CellError('expected choices such as Literal["raw", "mart"]')
    return choices


def _ranged(parameter: Parameter, help_text: str) -> Parameter:
    """The parameter with the range that its help comment states at its end."""
    kind, stated = parameter.kind.item or parameter.kind, _RANGE.search(help_text)
    if stated is None or kind.base not in _RANGED:
        return parameter
    try:
        low, high = kind.read(stated[1]), kind.read(stated[2])
    except ValueError:
        raise _CellError(
            f"{parameter.name}: the range {stated[0].strip()} is not two values of type {kind.base}"
        ) from None
    if low is None or high is None or low > high:
        raise _CellError(f"{parameter.name}: the range {stated[0].strip()} runs backwards")
    return replace(parameter, low=low, high=high)


def _default(parameter: Parameter, node: ast.expr) -> Any:
    try:
        value = _evaluate(node)
        typed = parameter.read(value)
    except ValueError as error:
        raise _CellError(str(error) or f"{parameter.name}: the default is not a literal") from None
    exact = (parameter.kind.item or parameter.kind).base not in _CALLS
    if exact and typed != value:
        raise _CellError(f"{parameter.name}: the default {abridged(value)} is not of type {parameter.kind}")
    return typed


def _evaluate(node: ast.expr) -> Any:
    """A literal, or a date, datetime or timedelta made from literals."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in _CALLS:
            try:
                named = {str(item.arg): _evaluate(item.value) for item in keywords}
                return _CALLS[name](*[_evaluate(item) for item in args], **named)
            except (TypeError, OverflowError):
                raise ValueError from None
        case ast.List(elts=items):
            return [_evaluate(item) for item in items]
        case ast.JoinedStr():
            raise ValueError
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise ValueError from None
