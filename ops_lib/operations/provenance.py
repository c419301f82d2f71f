"""Where code comes from: the commit of a runbook, and the versions of what runs it."""

import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ops_lib.model.ledger import sha256
from ops_lib.postgres.connection import client_version

_GIT_SECONDS = 5


def commit_of(file: Path) -> str | None:
    """The commit in which a file stands as it is now; nothing where it was changed since, or git does not know it."""
    if _git(file.parent, "diff", "--quiet", "HEAD", "--", file.name) is None:
        return None
    if not _git(file.parent, "ls-files", "--", file.name):
        return None
    return _git(file.parent, "rev-parse", "HEAD")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


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
