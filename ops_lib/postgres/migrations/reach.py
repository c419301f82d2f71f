"""What a script does beyond its own database: to roles, to other databases, to the server; and what it needs of it."""

# mypy: disable-error-code="union-attr"
# pglast types every field as optional, which in the parse tree of a valid statement these are not.

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ops_lib.model.errors import BadInput, Refused
from ops_lib.model.migration import Script
from ops_lib.postgres.sql_file import Statement, statements

_ROLES = frozenset({
    "CreateRoleStmt", "AlterRoleStmt", "AlterRoleSetStmt", "DropRoleStmt", "GrantRoleStmt", "DropOwnedStmt",
    "ReassignOwnedStmt",
})  # fmt: skip
_SERVER = frozenset({
    "CreatedbStmt", "DropdbStmt", "AlterDatabaseStmt", "AlterDatabaseSetStmt", "AlterSystemStmt",
    "CreateTableSpaceStmt", "DropTableSpaceStmt", "CreateSubscriptionStmt", "AlterSubscriptionStmt",
})  # fmt: skip
_LOSES = frozenset({"DropStmt", "UpdateStmt", "DeleteStmt", "TruncateStmt", "MergeStmt", "DoStmt"})
_IN_A_BLOCK = re.compile(r"\b(?:role|user|group|database|owned|system|tablespace)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a script touches outside of its database."""

    server: tuple[Statement, ...] = ()
    role_statements: tuple[Statement, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.server or self.role_statements)


def reach(script: Script) -> Reach:
    """Nothing of a script that cannot be parsed: it cannot be applied either."""
    found = _statements(script)
    return Reach(
        server=tuple(each for each in found if _kind(each) in _SERVER),
        role_statements=tuple(each for each in found if _kind(each) in _ROLES or _block(each)),
    )


def loses_rows(script: Script) -> bool:
    """Whether rows may be other ones after a script was undone and done again; a block may do anything."""
    return any(_kind(each) in _LOSES or _drops_column(each.node) for each in _statements(script))


def extensions(scripts: Iterable[Script]) -> frozenset[str]:
    """The extensions that scripts create."""
    nodes = (each.node for script in scripts for each in _statements(script))
    return frozenset(str(node.extname) for node in nodes if type(node).__name__ == "CreateExtensionStmt")


def made_roles(scripts: Iterable[Script]) -> frozenset[str]:
    """The roles that scripts make; of a block that makes some, every word that could be one."""
    found = [each for script in scripts for each in reach(script).role_statements]
    plain = {str(each.node.role) for each in found if _kind(each) == "CreateRoleStmt"}
    return frozenset(plain.union(*(_named(each) for each in found if _kind(each) == "DoStmt")))


def require_harmless(scripts: Iterable[Script], roles: Iterable[str]) -> None:
    """Refused where a script would change a server that others use too: its settings, its databases, its `roles`.

    Roles that it makes itself are its own.
    """
    known = frozenset(roles)
    for script in scripts:
        found = reach(script)
        for statement in found.server:
            _refuse(script, statement, "changes the whole server")
        for statement in found.role_statements:
            for role in sorted(_named(statement) & known):
                _refuse(script, statement, f"changes the role {role}, which was there before")


def _refuse(script: Script, statement: Statement, what: str) -> None:
    hint = "rehearse it on the embedded server, which is thrown away: leave the scratch server out"
    raise Refused(f"{script.file}, line {statement.line}: this {what}", hint=hint)


def _named(statement: Statement) -> set[str]:
    """The roles that a statement changes; of a block, every word that could be one."""
    node, kind = statement.node, _kind(statement)
    if kind == "DoStmt":
        return set(re.findall(r"\w+", statement.text))
    roles: list[Any] = []
    if kind in {"AlterRoleStmt", "AlterRoleSetStmt"}:
        roles = [node.role]
    elif kind in {"DropRoleStmt", "DropOwnedStmt", "ReassignOwnedStmt"}:
        roles = list(node.roles)
    elif kind == "GrantRoleStmt":
        roles = list(node.grantee_roles)
    return {str(role.rolename) for role in roles if role is not None}


def _drops_column(node: Any) -> bool:
    commands = node.cmds if type(node).__name__ == "AlterTableStmt" else ()
    return any(command.subtype.name in {"AT_DropColumn", "AT_AlterColumnType"} for command in commands)


def _block(statement: Statement) -> bool:
    return _kind(statement) == "DoStmt" and _IN_A_BLOCK.search(statement.text) is not None


def _kind(statement: Statement) -> str:
    return type(statement.node).__name__


def _statements(script: Script) -> list[Statement]:
    with suppress(BadInput):
        return statements(script.text, str(script.file), script.first_line)
    return []
