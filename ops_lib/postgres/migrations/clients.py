"""PostgreSQL's own client programs, called with a login: what they need to connect is in their environment only."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from psycopg import pq

from ops_lib.model.errors import OpsError, Refused
from ops_lib.model.target import Login
from ops_lib.postgres import binaries

_TOO_OLD = ("server version mismatch", "unsupported version")


def call(program: str, login: Login | None, *arguments: str) -> str:
    """What a program writes, by the first one found that is not older than the server (or the archive) it reads.

    The wheel's programs come first; they serve every server up to their own version.
    """
    said = ""
    for path in _found(program):
        done = subprocess.run(
            [str(path), *arguments], env=os.environ | _settings(login), capture_output=True, check=False, text=True,
            encoding="utf-8", errors="surrogateescape", stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode == 0:
            return done.stdout
        said = said or done.stderr
        if not any(sign in done.stderr for sign in _TOO_OLD):
            raise OpsError(f"{program} failed: {_why(done.stderr)}")
    raise Refused(f"no {program} is new enough: {_why(said)}", hint="install the client programs of that version")


def _found(program: str) -> Iterator[Path]:
    yield binaries.installed() / "bin" / program
    if other := shutil.which(program):
        yield Path(other)


def _settings(login: Login | None) -> dict[str, str]:
    """The environment variables that mean a login; what has none, such as keep-alives, is left out."""
    names = {option.keyword.decode(): option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar}
    keywords = {**login.keywords, "password": login.password} if login else {}
    said = {names[key]: str(value) for key, value in keywords.items() if key in names and value is not None}
    return {"PGAPPNAME": "runbook/rehearsal", **said, "LC_ALL": "C"}


def _why(text: str) -> str:
    """The first thing that went wrong, as the server said it where it was the server."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    wrong = (line for line in lines if "error:" in line or "FATAL:" in line or "ERROR:" in line)
    return next(wrong, (lines or ["it said nothing"])[0]).split("error: ", 1)[-1]
