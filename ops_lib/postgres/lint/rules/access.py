"""Access: who may read and write, once the migration has ended."""

# mypy: disable-error-code="union-attr,index,arg-type"

from collections.abc import Iterator
from typing import Any, Final

from pglast import ast

from ops_lib.postgres.lint.act import Act
from ops_lib.postgres.lint.locks import ACCESS_EXCLUSIVE, TABLES
from ops_lib.postgres.lint.notice import WARNING, Notice, Rule
from ops_lib.postgres.lint.story import Story

_OFF: Final = {
    "AT_DisableRowSecurity": "its policies no longer hold: who may read it sees every row",
    "AT_NoForceRowSecurity": "its policies no longer hold for its owner",
}


def grant_to_public(act: Act, story: Story) -> Iterator[Notice]:
    node = act.node.action if isinstance(act.node, ast.AlterDefaultPrivilegesStmt) else act.node
    if not isinstance(node, ast.GrantStmt) or not node.is_grant:
        return
    if not any(each.roletype.name == "ROLESPEC_PUBLIC" for each in node.grantees):
        return
    rights = ", ".join(sorted(each.priv_name.upper() for each in node.privileges or () if each.priv_name)) or "ALL"
    for subject in _granted(node, story):
        yield Notice(
            rule="grant-to-public",
            severity=WARNING,
            subject=subject,
            effect=f"{rights} for every role that can connect, now and in future",
            remedy="grant it to the roles that need it",
            rows=False,
            lasting=True,
        )


def _granted(node: Any, story: Story) -> list[str]:
    """What is granted on, by name."""
    if node.targtype.name == "ACL_TARGET_DEFAULTS":
        return ["default privileges"]
    return [_named(each, story) for each in node.objects or ()]


def _named(each: Any, story: Story) -> str:
    if isinstance(each, ast.RangeVar):
        return story.name(each)
    if isinstance(each, ast.ObjectWithArgs):
        return story.dotted(each.objname or ())
    return str(getattr(each, "sval", each))


def row_security_off(act: Act, story: Story) -> Iterator[Notice]:
    if act.does in _OFF and act.node.objtype.name in TABLES:
        yield Notice(
            rule="row-security-off",
            severity=WARNING,
            subject=story.name(act.node.relation),
            lock=ACCESS_EXCLUSIVE,
            effect=_OFF[act.does],
            remedy="a policy for those who are to see more",
            rows=False,
            lasting=True,
        )


def bypass_row_security(act: Act, story: Story) -> Iterator[Notice]:
    node = act.node
    if not isinstance(node, ast.AlterRoleStmt | ast.CreateRoleStmt):
        return
    for option in node.options or ():
        if option.defname in ("bypassrls", "superuser") and getattr(option.arg, "boolval", False):
            role = node.role.rolename if isinstance(node, ast.AlterRoleStmt) else node.role
            effect = f"{option.defname.upper()}: no policy holds for this role"
            remedy = "a policy for this role on the tables that it needs"
            yield Notice(
                rule="row-security-off",
                severity=WARNING,
                subject=f"role {role}",
                effect=effect,
                remedy=remedy,
                rows=False,
            )


def security_definer(act: Act, story: Story) -> Iterator[Notice]:
    node = act.node
    options = node.options if isinstance(node, ast.CreateFunctionStmt) else ()
    options = node.actions if isinstance(node, ast.AlterFunctionStmt) else options
    words = {each.defname: each.arg for each in options or ()}
    paths = [each for each in options or () if each.defname == "set" and each.arg.name == "search_path"]
    if getattr(words.get("security"), "boolval", False) and not paths:
        yield Notice(
            rule="security-definer-search-path",
            severity=WARNING,
            subject=story.dotted(node.funcname if isinstance(node, ast.CreateFunctionStmt) else node.func.objname),
            effect="runs with the rights of its owner, and finds what its caller has put into the search path",
            remedy="SET search_path = pg_catalog, pg_temp, and schema-qualified names in its body",
            rows=False,
            lasting=True,
        )


RULES: Final[tuple[Rule, ...]] = (grant_to_public, row_security_off, bypass_row_security, security_definer)
