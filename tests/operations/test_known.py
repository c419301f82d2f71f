"""Which values of the environment are taken for secrets."""

from dataclasses import replace

import pytest

from ops_lib.operations.desk import Desk
from ops_lib.operations.known import redactor_for

VALUE = "a-value-of-some-length"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("PGPASSWORD", True), ("DB_PASS", True), ("PGPASSPHRASE", True), ("AWS_CREDENTIALS", True), ("DB_PWD", True),
        ("GITHUB_PAT", True), ("API_TOKEN_V2", True), ("API_KEY2", True), ("PWD", False), ("OLDPWD", False),
        ("BYPASS", False), ("SSH_AUTH_SOCK", False), ("PATH", False), ("LANG", False),
    ],
)  # fmt: skip
def test_a_variable_is_a_secret_by_its_name(desk: Desk, name: str, secret: bool) -> None:
    """Passwords, tokens and keys are, also with a number behind; a folder or a socket is none."""
    redactor = redactor_for(replace(desk, environment={name: VALUE}), None)
    assert (VALUE not in redactor.text(f"it is {VALUE}")) is secret
