"""Observing: how each statement goes into the story, once the rules have judged it."""

# mypy: disable-error-code="union-attr,index"

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pglast import ast

from ops_lib.postgres.lint.act import Act
from ops_lib.postgres.lint.locks import locked_out
from ops_lib.postgres.lint.names import calls, kind, literal
from ops_lib.postgres.lint.story import Check, Story

_OFF = frozenset({"0", "0s", "0ms", "0min"})


def observe(act: Act, story: Story) -> None:
    """What holds after an act."""
    story.exclusive.update(locked_out(act, story))
    if (notes := _NOTES.get(kind(act.node))) is not None:
        notes(act, story)


def _set(act: Act, story: Story) -> None:
    node = act.node
    if node.kind.name in ("VAR_RESET_ALL", "VAR_RESET", "VAR_SET_DEFAULT"):
        story.timeout = story.timeout and node.name not in (None, "lock_timeout")
    elif node.name == "lock_timeout":
        _set_timeout(story, literal(node.args[0]), local=node.is_local)
    elif node.name == "search_path":
        names = (literal(each) for each in node.args)
        story.schema = next((name for name in names if name not in ("", "$user")), "public")


def _set_timeout(story: Story, value: str, *, local: bool) -> None:
    if local:
        story.local_timeout = bounds(value)
    else:
        story.timeout = bounds(value)


def bounds(value: str) -> bool:
    """Whether a lock timeout is one: nought means none."""
    return value.replace(" ", "") not in _OFF


def _select(act: Act, story: Story) -> None:
    for name, call in calls(act.node):
        words = [literal(each) for each in call.args or () if isinstance(each, ast.A_Const)]
        if name == "set_config" and len(words) == 3 and words[0] == "lock_timeout":
            _set_timeout(story, words[1], local=words[2] == "True")
    if act.node.intoClause is not None:
        story.new.add(story.name(act.node.intoClause.rel))


def _create(act: Act, story: Story) -> None:
    node, table = act.node, story.name(act.node.relation)
    if node.if_not_exists and table in story.use:
        return
    story.new.add(table)


def _create_as(act: Act, story: Story) -> None:
    story.new.add(story.name(act.node.into.rel))


def _create_foreign(act: Act, story: Story) -> None:
    story.new.add(story.name(act.node.base.relation))


def _create_type(act: Act, story: Story) -> None:
    names = act.node.typeName if isinstance(act.node, ast.CreateEnumStmt) else None
    story.new.add(story.dotted(names) if names else story.name(act.node.typevar))


def _create_domain(act: Act, story: Story) -> None:
    story.new.add(story.dotted(act.node.domainname))


def _index(act: Act, story: Story) -> None:
    table = act.node.relation
    if act.node.idxname:
        schema = table.schemaname or story.schema
        story.tables_of_indexes[f"{schema}.{act.node.idxname}"] = story.name(table)


def _drop(act: Act, story: Story) -> None:
    if act.node.removeType.name == "OBJECT_INDEX":
        story.dropped_indexes |= {story.dotted(each) for each in act.node.objects}
    if act.node.removeType.name in ("OBJECT_TABLE", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"):
        story.new -= {story.dotted(each) for each in act.node.objects}


def _rename(act: Act, story: Story) -> None:
    if act.node.relation is None or act.node.renameType.name != "OBJECT_TABLE":
        return
    _move(story, story.name(act.node.relation), f"{act.node.relation.schemaname or story.schema}.{act.node.newname}")


def _set_schema(act: Act, story: Story) -> None:
    if act.node.relation is not None:
        _move(story, story.name(act.node.relation), f"{act.node.newschema}.{act.node.relation.relname}")


def _move(story: Story, old: str, new: str) -> None:
    if old in story.new:
        story.new = (story.new - {old}) | {new}
    else:
        story.new.discard(new)


def _enum(act: Act, story: Story) -> None:
    name = story.dotted(act.node.typeName)
    if act.node.newVal and not act.node.oldVal and name not in story.new:
        story.enum_values[act.node.newVal] = (name, story.transaction)


def _alter(act: Act, story: Story) -> None:
    if act.node.objtype.name not in ("OBJECT_TABLE", "OBJECT_FOREIGN_TABLE", "OBJECT_MATVIEW"):
        return
    table, command = story.name(act.node.relation), act.command
    if act.does == "AT_AddColumn":
        story.column_types[table, command.def_.colname] = command.def_.typeName
    elif act.does == "AT_AddConstraint" and command.def_.conname:
        _add_check(story, table, command.def_)
    elif act.does == "AT_ValidateConstraint":
        _validate(story, table, command.name)
    elif act.does == "AT_DropConstraint":
        story.checks.pop((table, command.name), None)
    elif act.does == "AT_AttachPartition" and table in story.new:
        story.new.add(story.name(command.def_.name))


def _add_check(story: Story, table: str, node: ast.Constraint) -> None:
    if node.contype.name not in ("CONSTR_CHECK", "CONSTR_FOREIGN", "CONSTR_NOTNULL"):
        return
    name = str(node.conname)
    check = Check(name=name, node=node, validated=not node.skip_validation, transaction=story.transaction)
    story.checks[table, name] = check


def _validate(story: Story, table: str, name: str) -> None:
    unknown = Check(name=name, node=None, validated=True, transaction=story.transaction)
    story.checks[table, name] = replace(story.checks.get((table, name), unknown), validated=True)


_NOTES: Final[dict[str, Callable[[Act, Story], None]]] = {
    "VariableSetStmt": _set,
    "SelectStmt": _select,
    "CreateStmt": _create,
    "CreateTableAsStmt": _create_as,
    "CreateForeignTableStmt": _create_foreign,
    "CreateEnumStmt": _create_type,
    "CompositeTypeStmt": _create_type,
    "CreateDomainStmt": _create_domain,
    "IndexStmt": _index,
    "DropStmt": _drop,
    "RenameStmt": _rename,
    "AlterObjectSchemaStmt": _set_schema,
    "AlterEnumStmt": _enum,
    "AlterTableStmt": _alter,
}
