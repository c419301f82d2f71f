"""Acts: a script as the single things that it does, whatever holds them.

An ALTER TABLE with several subcommands is several acts, and so is a DO block: what it does is read out of its body.
Each act knows its line and which transaction it is in.
"""

# mypy: disable-error-code="union-attr,arg-type"
# pglast types every field as optional, which in the parse tree of a valid statement these are not.

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pglast import ast, split

from ops_lib.model.errors import BadInput
from ops_lib.model.migration import Script
from ops_lib.postgres.lint.do_block import embedded
from ops_lib.postgres.migrations.script import stands_alone
from ops_lib.postgres.sql_file import Statement, statements

_BEGIN = frozenset({"TRANS_STMT_BEGIN", "TRANS_STMT_START"})
_END = frozenset({"TRANS_STMT_COMMIT", "TRANS_STMT_ROLLBACK", "TRANS_STMT_PREPARE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that a statement does. `command` is the subcommand, where the statement is an ALTER TABLE."""

    node: Any
    line: int
    command: Any = None
    in_do: bool = False
    bracketed: bool = False

    @property
    def does(self) -> str:
        """Which subcommand it is, such as `AT_AddColumn`; empty for other statements."""
        return self.command.subtype.name if self.command is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A statement of a script, its acts, and the number of its transaction; `bracketed` between BEGIN and COMMIT.

    `start` is where it begins in the text of the script.
    """

    statement: Statement
    start: int
    acts: tuple[Act, ...]
    transaction: int
    bracketed: bool


def placed(script: Script) -> list[Placed]:
    """The statements of a script in their transactions; BEGIN and COMMIT themselves are left out.

    It is one transaction, unless its file says otherwise: by its header, by more than one COMMIT, or by a statement
    that no transaction can hold. BadInput where it is no SQL.
    """
    try:
        found = statements(script.text, str(script.file), script.first_line)
    except BadInput as error:
        raise BadInput(error.message, hint="it must be SQL alone, without psql's own commands") from None
    whole = script.transaction and _one_transaction(found)
    result: list[Placed] = []
    number, bracketed = 0, False
    starts = [part.start for part in split(script.text, with_parser=True, only_slices=True)] if found else []
    for statement, start in zip(found, starts, strict=True):
        if isinstance(statement.node, ast.TransactionStmt):
            bracketed = statement.node.kind.name in _BEGIN or (bracketed and statement.node.kind.name not in _END)
            number += not whole
            continue
        number += not whole and not bracketed
        acts = tuple(_acts(script, statement, bracketed=bracketed))
        result.append(Placed(statement=statement, start=start, acts=acts, transaction=number, bracketed=bracketed))
    return result


def _one_transaction(found: Sequence[Statement]) -> bool:
    ends = sum(isinstance(each.node, ast.TransactionStmt) and each.node.kind.name in _END for each in found)
    return ends <= 1 and not any(stands_alone(each.node) for each in found)


def _acts(script: Script, statement: Statement, *, bracketed: bool) -> Iterator[Act]:
    node = statement.node
    if isinstance(node, ast.AlterTableStmt):
        for command in node.cmds:
            line = _line(script, command, statement.line) if len(node.cmds) > 1 else statement.line
            yield Act(node=node, command=command, line=line, bracketed=bracketed)
        return
    yield Act(node=node, line=statement.line, bracketed=bracketed)
    if isinstance(node, ast.DoStmt):
        for inner, line in embedded(statement):
            for command in inner.cmds if isinstance(inner, ast.AlterTableStmt) else (None,):
                yield Act(node=inner, command=command, line=line, in_do=True, bracketed=bracketed)


def _line(script: Script, command: Any, otherwise: int) -> int:
    """The line of a subcommand, where the parser keeps it."""
    location = getattr(command.def_, "location", None)
    if not isinstance(location, int) or location <= 0:
        return otherwise
    return script.first_line + script.text.count("\n", 0, location + 1)
