"""Altering: the safe forms of the subcommands of ALTER TABLE."""

# mypy: disable-error-code="union-attr,index,arg-type"

from collections.abc import Sequence
from typing import Any, Final

from pglast import ast

from ops_lib.postgres.lint.act import Act
from ops_lib.postgres.lint.names import columns, sql
from ops_lib.postgres.lint.proofs import proves_not_null
from ops_lib.postgres.lint.rules.columns import volatile_default
from ops_lib.postgres.lint.safe.piece import Mode, Piece
from ops_lib.postgres.lint.story import Story

_LONGEST: Final = 63
_SCANNED: Final = {"CONSTR_CHECK", "CONSTR_FOREIGN", "CONSTR_NOTNULL"}
_BUILT: Final = {"CONSTR_UNIQUE", "CONSTR_PRIMARY"}


def form(act: Act, story: Story) -> list[Piece]:
    """The pieces of one subcommand; none where it stays as it is."""
    if act.does == "AT_AddConstraint":
        return _constraint(act, act.command.def_)
    if act.does == "AT_SetNotNull":
        proven = proves_not_null(story, story.name(act.node.relation), act.command.name)
        return [] if proven else _not_null(act, act.command.name)
    if act.does == "AT_ValidateConstraint":
        return [_validated(act, act.command.name)] if _added_at_once(act, story) else []
    return _column(act, story) if act.does == "AT_AddColumn" else []


def _added_at_once(act: Act, story: Story) -> bool:
    """Whether a constraint that is validated was added in this transaction, or by this very statement."""
    check = story.checks.get((story.name(act.node.relation), act.command.name))
    here = (each.def_.conname for each in act.node.cmds if each.subtype.name == "AT_AddConstraint")
    return (check is not None and check.transaction == story.transaction) or act.command.name in here


def plain(acts: Sequence[Act]) -> Piece:
    """Subcommands that stay as they are, in one statement."""
    node = acts[0].node
    changed = ast.AlterTableStmt(
        relation=node.relation,
        cmds=tuple(act.command for act in acts),
        objtype=node.objtype,
        missing_ok=node.missing_ok,
    )
    return _held(acts[0], sql(changed))


def _column(act: Act, story: Story) -> list[Piece]:
    """A new column without what would scan or rewrite its table, which comes afterwards."""
    column = act.command.def_
    parts = column.constraints or ()
    forms = [(each, _constraint(act, _of_table(each, column.colname))) for each in parts if not _is_not_null(each)]
    late = [each for each, pieces in forms if pieces]
    volatile = next(iter(volatile_default(act, story)), None) is not None
    if not late and not volatile:
        return []
    default = next((each for each in parts if each.contype.name == "CONSTR_DEFAULT"), None)
    moved = [*late, *(each for each in parts if volatile and (each is default or _is_not_null(each)))]
    pieces = [_without(act, moved)]
    if volatile:
        pieces += _filled(act, default, required=any(_is_not_null(each) for each in moved))
    return pieces + [piece for _, safe in forms for piece in safe]


def _is_not_null(constraint: Any) -> bool:
    return bool(constraint.contype.name == "CONSTR_NOTNULL")


def _without(act: Act, moved: Sequence[Any]) -> Piece:
    column = act.command.def_
    kept = tuple(each for each in column.constraints if each not in moved) or None
    bare = ast.ColumnDef(**{**{name: getattr(column, name) for name in column}, "constraints": kept})
    command = act.command
    changed = ast.AlterTableCmd(**{**{name: getattr(command, name) for name in command}, "def_": bare})
    return plain([Act(node=act.node, command=changed, line=act.line)])


def _filled(act: Act, default: Any, *, required: bool) -> list[Piece]:
    """The default for new rows; old ones are filled in batches, and only then can the column be required."""
    name = act.command.def_.colname
    text = f"{_alter(act)} ALTER COLUMN {_quoted(name)} SET DEFAULT {sql(default.raw_expr)}"
    table = sql(act.node.relation).removeprefix("ONLY ")
    told = f"-- Old rows of {table} have no {name} yet: fill them in batches with the backfill helper"
    told += ",\n-- before the next file is applied." if required else "."
    piece = _held(act, text, comment=told)
    return [piece, *(_not_null(act, name) if required else [])]


def _of_table(constraint: Any, column: str) -> Any:
    """The constraint of a column, written as one of its table."""
    values = {name: getattr(constraint, name) for name in constraint}
    if constraint.contype.name == "CONSTR_FOREIGN":
        values["fk_attrs"] = (ast.String(sval=column),)
    elif constraint.contype.name in _BUILT:
        values["keys"] = (ast.String(sval=column),)
    return ast.Constraint(**values)


def _constraint(act: Act, node: Any) -> list[Piece]:
    name, kind = _name(act, node), node.contype.name
    if name is None or len(name.encode()) > _LONGEST:
        return []
    if kind in _SCANNED and not node.skip_validation:
        return [
            _held(act, f"{_alter(act)} ADD CONSTRAINT {_quoted(name)} {_body(node)} NOT VALID"),
            _validated(act, name),
        ]
    if kind in _BUILT and node.indexname is None and not (node.options or node.indexspace or node.without_overlaps):
        return _built(act, node, name)
    return []


def _body(node: Any) -> str:
    """A constraint as SQL, without its name."""
    values = {each: getattr(node, each) for each in node}
    return sql(ast.Constraint(**{**values, "conname": None, "skip_validation": False, "initially_valid": True})).strip()


def _built(act: Act, node: Any, name: str) -> list[Piece]:
    """A key whose index is built first, without stopping anybody; the columns of a primary key are proven before."""
    primary = node.contype.name == "CONSTR_PRIMARY"
    keys = [each.sval for each in node.keys]
    pieces = [piece for key in keys for piece in _not_null(act, key)] if primary else []
    table = sql(act.node.relation).removeprefix("ONLY ")
    including = f" INCLUDE ({_list(each.sval for each in node.including)})" if node.including else ""
    nulls = " NULLS NOT DISTINCT" if node.nulls_not_distinct else ""
    index = f"CREATE UNIQUE INDEX CONCURRENTLY {_quoted(name)} ON {table} ({_list(keys)}){including}{nulls}"
    deferred = " DEFERRABLE" + (" INITIALLY DEFERRED" if node.initdeferred else "") if node.deferrable else ""
    word = "PRIMARY KEY" if primary else "UNIQUE"
    using = f"{_alter(act)} ADD CONSTRAINT {_quoted(name)} {word} USING INDEX {_quoted(name)}{deferred}"
    label = "primary_key" if primary else "unique"
    return [*pieces, Piece(text=index, mode=Mode.ALONE, label="index"), _held(act, using, mode=Mode.FRESH, label=label)]


def _not_null(act: Act, column: str) -> list[Piece]:
    """A check that proves it without a lock, then NOT NULL, which finds the proof, then without the check."""
    name = f"{column}_has_no_null"
    quoted = _quoted(column)
    return [
        _held(act, f"{_alter(act)} ADD CONSTRAINT {_quoted(name)} CHECK ({quoted} IS NOT NULL) NOT VALID"),
        _validated(act, name),
        _held(act, f"{_alter(act)} ALTER COLUMN {quoted} SET NOT NULL", mode=Mode.FRESH, label="not_null"),
        _held(act, f"{_alter(act)} DROP CONSTRAINT {_quoted(name)}"),
    ]


def _validated(act: Act, name: str) -> Piece:
    text = f"{_alter(act)} VALIDATE CONSTRAINT {_quoted(name)}"
    return Piece(text=text, mode=Mode.VALIDATE, label="validate", mentions=name)


def _held(act: Act, text: str, *, mode: Mode = Mode.PLAIN, label: str = "", comment: str = "") -> Piece:
    """A piece that locks its table out for a moment."""
    table = act.node.relation
    held = frozenset({f"{table.schemaname or 'public'}.{table.relname}"})
    return Piece(
        text=text, mode=mode, label=label or table.relname, comment=comment, kind="AlterTableStmt", exclusive=held
    )


def _name(act: Act, node: Any) -> str | None:
    """The name of a constraint: its own, or the one that the server would give to it."""
    table = act.node.relation.relname
    if node.conname:
        return str(node.conname)
    if node.contype.name == "CONSTR_PRIMARY":
        return f"{table}_pkey"
    if node.contype.name == "CONSTR_CHECK":
        named = columns(node.raw_expr)
        return f"{table}_{named.pop()}_check" if len(named) == 1 else f"{table}_check"
    keys = node.fk_attrs if node.contype.name == "CONSTR_FOREIGN" else (*(node.keys or ()), *(node.including or ()))
    end = {"CONSTR_FOREIGN": "fkey", "CONSTR_UNIQUE": "key", "CONSTR_NOTNULL": "not_null"}.get(node.contype.name)
    return "_".join([table, *(each.sval for each in keys), end]) if keys and end else None


def _alter(act: Act) -> str:
    return f"ALTER TABLE {sql(act.node.relation)}"


def _quoted(name: str) -> str:
    """A name, in quotes where it needs them."""
    return sql(ast.RangeVar(relname=name, inh=True, relpersistence="p"))


def _list(names: Any) -> str:
    return ", ".join(_quoted(name) for name in names)
