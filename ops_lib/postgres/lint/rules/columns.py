"""Columns: added, computed and changed without writing every row anew."""

# mypy: disable-error-code="union-attr"

from collections.abc import Iterator
from typing import Any, Final

from ops_lib.postgres.lint.act import Act
from ops_lib.postgres.lint.locks import ACCESS_EXCLUSIVE, TABLES
from ops_lib.postgres.lint.names import calls, type_name
from ops_lib.postgres.lint.notice import CRITICAL, WARNING, Notice, Rule
from ops_lib.postgres.lint.story import Story
from ops_lib.postgres.lint.types import Change, change_of_type

_REWRITE: Final = "nobody can read or write while every row is written anew"
_VOLATILE: Final = frozenset({
    "random", "random_normal", "gen_random_uuid", "uuidv4", "uuidv7", "uuid_generate_v1", "uuid_generate_v1mc",
    "uuid_generate_v4", "gen_random_bytes", "gen_salt", "clock_timestamp", "timeofday", "nextval", "currval", "lastval",
    "setval",
})  # fmt: skip
_STEADY: Final = frozenset({
    "now", "transaction_timestamp", "statement_timestamp", "current_setting", "concat", "concat_ws", "format",
    "lower", "upper", "timezone", "date_trunc", "to_timestamp", "to_char", "to_date", "make_date", "make_interval",
    "make_timestamp", "make_timestamptz", "jsonb_build_object", "json_build_object", "jsonb_build_array",
    "json_build_array", "to_jsonb", "to_json", "array_fill", "string_to_array", "md5", "sha256",
    "int4range", "int8range", "tstzrange", "tsrange", "daterange", "numrange", "date_part", "extract", "age", "round",
    "floor", "ceil", "abs", "length", "repeat", "replace", "substr", "substring", "trim", "btrim", "txid_current",
    "pg_current_xact_id", "current_schema", "current_database", "version", "decode", "encode", "point", "to_tsvector",
    "inet_client_addr", "pg_backend_pid",
})  # fmt: skip
_SERIAL: Final = frozenset({"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"})


def _column(act: Act) -> Any:
    """The column that an act adds to a table."""
    added = act.does == "AT_AddColumn" and act.node.objtype.name in TABLES
    return act.command.def_ if added else None


def _parts(column: Any, contype: str) -> list[Any]:
    return [each for each in column.constraints or () if each.contype.name == contype]


def _rewritten(rule: str, act: Act, story: Story, cause: str, remedy: str) -> Notice:
    return Notice(
        rule=rule,
        severity=CRITICAL,
        subject=story.name(act.node.relation),
        lock=ACCESS_EXCLUSIVE,
        effect=f"{_REWRITE}, since {cause}",
        remedy=remedy,
    )


def volatile_default(act: Act, story: Story) -> Iterator[Notice]:
    column = _column(act)
    for default in _parts(column, "CONSTR_DEFAULT") if column else ():
        names = [name for name, _ in calls(default.raw_expr)]
        if known := [name for name in names if name in _VOLATILE]:
            cause = f"{known[0]}() has another value for each"
        elif unknown := [name for name in names if name not in _STEADY]:
            cause = f"{unknown[0]}() may have another value for each"
        else:
            continue
        remedy = f"add {column.colname} without it, then ALTER COLUMN SET DEFAULT, and fill old rows in batches"
        yield _rewritten("volatile-default", act, story, cause, remedy)


def serial_column(act: Act, story: Story) -> Iterator[Notice]:
    column = _column(act)
    if column and (type_name(column.typeName) in _SERIAL or _parts(column, "CONSTR_IDENTITY")):
        remedy = f"add {column.colname} as a plain bigint, fill it in batches, then attach a sequence or identity"
        yield _rewritten("serial-column", act, story, "each gets a number of its own", remedy)


def stored_generated_column(act: Act, story: Story) -> Iterator[Notice]:
    column = _column(act)
    if column and any(each.generated_kind != "v" for each in _parts(column, "CONSTR_GENERATED")):
        remedy = "a plain column, a trigger that keeps it, and a backfill in batches; or VIRTUAL from PostgreSQL 18 on"
        yield _rewritten("stored-generated-column", act, story, f"{column.colname} is computed for each", remedy)


def stored_expression(act: Act, story: Story) -> Iterator[Notice]:
    if act.does == "AT_SetExpression":
        yield _rewritten(
            "stored-generated-column", act, story, f"{act.command.name} is computed for each", "add another column"
        )


def required_column(act: Act, story: Story) -> Iterator[Notice]:
    column = _column(act)
    if not column or not _parts(column, "CONSTR_NOTNULL") or type_name(column.typeName) in _SERIAL:
        return
    if any(_parts(column, each) for each in ("CONSTR_DEFAULT", "CONSTR_GENERATED", "CONSTR_IDENTITY")):
        return
    yield Notice(
        rule="required-column",
        severity=WARNING,
        subject=story.name(act.node.relation),
        lock=ACCESS_EXCLUSIVE,
        effect=f"fails where there is a row, since {column.colname} has no default; so do INSERTs that leave it out",
        remedy="give it a constant default, or add it nullable and SET NOT NULL once it is filled",
    )


def type_change(act: Act, story: Story) -> Iterator[Notice]:
    if act.does != "AT_AlterColumnType" or act.node.objtype.name not in TABLES:
        return
    change, severity = change_of_type(act.command, story.name(act.node.relation), story)
    if change is Change.NONE:
        return
    known = "every row is written anew" if change is Change.REWRITE else "every row may be checked or written anew"
    yield Notice(
        rule="type-change",
        severity=severity,
        subject=story.name(act.node.relation),
        lock=ACCESS_EXCLUSIVE,
        effect=f"nobody can read or write while {known} for the type of {act.command.name}",
        remedy="add a column of the new type, keep both in step by a trigger, fill it in batches, then switch",
    )


def drop_column(act: Act, story: Story) -> Iterator[Notice]:
    if act.does == "AT_DropColumn" and act.node.objtype.name in TABLES:
        cascade = act.command.behavior.name == "DROP_CASCADE"
        more = ", with all views and constraints that use it" if cascade else ""
        yield Notice(
            rule="drop-cascade" if cascade else "drop-column",
            severity=CRITICAL if cascade else WARNING,
            subject=story.name(act.node.relation),
            lock=ACCESS_EXCLUSIVE,
            effect=f"the values of {act.command.name} are lost{more}, and what still reads it fails",
            remedy="first release what no longer reads it; keep a copy of the values",
        )


RULES: Final[tuple[Rule, ...]] = (
    volatile_default, serial_column, stored_generated_column, stored_expression, required_column, type_change,
    drop_column,
)  # fmt: skip
