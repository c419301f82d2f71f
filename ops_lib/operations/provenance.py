"""Where code comes from: the commit of a runbook, and the versions of what runs it."""

import hashlib
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ops_lib.model.ledger import sha256
from ops_lib.postgres.connection import client_version

_GIT_SECONDS = 5


def commit_of(file: Path) -> str | None:
    """The commit in which a file stands as it is now; nothing where it was changed since, or git does not know it.

    A filter, such as nbstripout, may make what is committed differ from what lies here: then git compares them.
    """
    commit, _, blob = (_git(file.parent, "rev-parse", "HEAD", f"HEAD:./{file.name}") or "").partition("\n")
    if not blob:
        return None
    same = blob == _blob(file.read_bytes(), len(blob)) or _git(file.parent, "diff", "--quiet", "HEAD", "--", file.name)
    return None if same is None else commit


def _blob(content: bytes, digits: int) -> str:
    """The name that git gives to the content of a file, in a repository whose names have so many digits."""
    hashed = hashlib.sha1(usedforsecurity=False) if digits == 40 else hashlib.sha256()
    hashed.update(b"blob %d\0" % len(content) + content)
    return hashed.hexdigest()


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@cache
def software() -> dict[str, Any]:
    """What runs a runbook here. `packages_sha256` is the digest of all installed distributions with their versions."""
    installed = {path.name for entry in sys.path if entry for path in Path(entry).glob("*.dist-info")}
    return {
        "python": platform.python_version(),
        "ops_lib": version("ops-runbooks"),
        "postgres_client": client_version(),
        "packages_sha256": sha256("\n".join(sorted(installed)).encode()),
    }


def author_of(folder: Path, file: str, commit: str | None) -> str | None:
    """Who committed a file last, as of a commit; nothing where git here does not know."""
    if commit is None:
        return None
    return _git(folder, "log", "-1", "--format=%an <%ae>", commit, "--", file) or None
