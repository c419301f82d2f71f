"""Copies of the newest head in places that whoever can rewrite the archive cannot: a second folder, a git remote.

A copy is only ever replaced by a head that extends it, so that a rolled-back archive cannot take its witness along.
"""

import subprocess
from pathlib import Path

from ops_lib.archive import files
from ops_lib.archive.ledger import Ledger
from ops_lib.model.checkpoint import Head
from ops_lib.model.errors import DoesNotVerify, OpsError
from ops_lib.model.merkle import Tree, extends, leaf_hash

GIT = "git:"
BRANCH = "refs/heads/ledger-heads"
_GIT_SECONDS = 20
_IDENTITY = ("-c", "user.name=ops-runbooks", "-c", "user.email=ops-runbooks@localhost")


def copy_head(root: Path, place: str, scratch: Path) -> None:
    """Bring the newest head of an archive to a folder, or with `git:` to a remote; OpsError where that fails."""
    head = Ledger(root).heads.read()
    if head is None:
        return
    if place.startswith(GIT):
        _push(root, head, place.removeprefix(GIT), scratch)
    elif Path(place).is_dir():
        _replace(root, head, Path(place))
    else:
        raise OpsError(f"{place} is no folder", hint="make it, or mount what should be there")


def name_of(head: Head) -> str:
    """The file that holds the copies of a ledger's heads."""
    return f"{head.checkpoint.origin.rpartition('/')[2]}.head"


def _replace(root: Path, head: Head, folder: Path) -> None:
    path = folder / name_of(head)
    if path.exists():
        _check(root, head, path)
    files.write_whole(path, head.text().encode())


def _check(root: Path, head: Head, path: Path) -> None:
    """Refuse to replace a copy that is not a beginning of what there is now."""
    try:
        old, new = Head.parse(path.read_text(encoding="utf-8")).checkpoint, head.checkpoint
    except (OSError, ValueError) as error:
        raise DoesNotVerify(f"the copy {path} is no head: {error}", hint="find out who changed it") from None
    if (old.size, old.root) == (new.size, new.root):
        return
    tree = Tree(map(leaf_hash, Ledger(root).lines()[: new.size]))
    if not extends(old.root, old.size, new.root, new.size, tree.consistency(old.size, new.size)):
        raise DoesNotVerify(
            f"the copy {path} is of {old.size} entries that this archive does not have",
            hint="the archive was put back or cut: hold it against the copy with runbook verify --since HEAD",
        )


def _push(root: Path, head: Head, remote: str, scratch: Path) -> None:
    work = scratch / "heads"
    work.mkdir()
    _git(work, "init", "--quiet")
    known = _git(work, "ls-remote", "--", remote, BRANCH)
    if known:
        _git(work, "fetch", "--quiet", "--depth=1", "--", remote, BRANCH)
        _git(work, "checkout", "--quiet", "FETCH_HEAD")
    _replace(root, head, work)
    _git(work, "add", "--", name_of(head))
    if _git(work, "status", "--porcelain"):
        _git(work, *_IDENTITY, "commit", "--quiet", "--message", f"{head.checkpoint.size} entries")
        _git(work, "push", "--quiet", "--", remote, f"HEAD:{BRANCH}")


def _git(folder: Path, *arguments: str) -> str:
    try:  # in a session of its own it has no terminal to ask for a password at
        done = subprocess.run(
            ["git", *arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_GIT_SECONDS, check=False, start_new_session=True,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OpsError(f"git {arguments[0]}: {error}") from None
    if done.returncode:
        said = [line for line in done.stderr.strip().splitlines() if line]
        why = next((line for line in said if line.startswith("fatal:")), said[-1] if said else "")
        raise OpsError(f"git {arguments[0]}: {why or f'exit code {done.returncode}'}")
    return done.stdout.strip()
