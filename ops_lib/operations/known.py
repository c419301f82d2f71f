"""What is known to be secret before a run begins: passwords of its target, the environment, what its cells declare."""

import ast
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ops_lib.model.redaction import PASSWORD, Redactor
from ops_lib.model.target import Login
from ops_lib.notebooks.front_matter import source_of
from ops_lib.operations.desk import Desk
from ops_lib.postgres.passfile import known_passwords

SHORTEST_OF_ENVIRONMENT = 8
_SECRET_NAME = re.compile(
    r"(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|KEY|CREDENTIALS?|_PWD|(?:^|_)(?:PASS|AUTH|PAT))(?:_?V?\d+)?$",
    re.IGNORECASE,
)
_ADDRESS_NAME = re.compile(r"(?:URL|URI|DSN)$", re.IGNORECASE)
_ADDRESS = re.compile(r"://[^\s/:@]*:([^\s/@]+)@")


def redactor_for(desk: Desk, login: Login | None, notebook: Mapping[str, Any] | None = None) -> Redactor:
    """A redactor that knows every secret that can be known by now."""
    redactor = Redactor()
    for kind, value in (*_of_login(desk, login), *_of_environment(desk)):
        redactor.register(value, kind)
    for value in _in_source(notebook or {"cells": []}):
        redactor.register(value)
    return redactor


def _of_login(desk: Desk, login: Login | None) -> Iterator[tuple[str, str]]:
    if login is None:
        return
    if login.password:
        yield PASSWORD, login.password
    for password in known_passwords(login, desk.environment):
        yield PASSWORD, password


def _of_environment(desk: Desk) -> Iterator[tuple[str, str]]:
    """Values of variables whose names say that they are secret; the name of a file is none."""
    for name, value in desk.environment.items():
        if _ADDRESS_NAME.search(name):
            yield from (("environment", password) for password in _ADDRESS.findall(value))
        elif _SECRET_NAME.search(name) and len(value) >= SHORTEST_OF_ENVIRONMENT and not _is_path(value):
            yield "environment", value


def _is_path(value: str) -> bool:
    with suppress(OSError, ValueError):
        return value.startswith("/") and Path(value).exists()
    return False


def _in_source(notebook: Mapping[str, Any]) -> Iterator[str]:
    """What the cells of a notebook give to `secret(...)` as it stands: it is known before the notebook is stored."""
    for cell in notebook["cells"]:
        if cell.get("cell_type") == "code" and "secret(" in source_of(cell):
            with suppress(SyntaxError, ValueError):
                yield from filter(None, map(_literal, ast.walk(ast.parse(source_of(cell)))))


def _literal(node: ast.AST) -> str | None:
    match node:
        case ast.Call(func=ast.Name(id="secret"), args=[ast.Constant(value=str() as value)]):
            return value
    return None
