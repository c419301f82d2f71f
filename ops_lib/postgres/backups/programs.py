"""PostgreSQL's own programs, found by version: a client older than its server is refused.

A place that was configured is looked at first, then the wheel, then what the machine has installed. Of those that are
new enough the oldest is taken, so that what it writes is understood by as many servers as can be.
"""

import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg import pq

from ops_lib.model.errors import BadInput, OpsError, Refused
from ops_lib.model.target import Login
from ops_lib.postgres import binaries
from ops_lib.postgres.binaries import Account

Listener = Callable[[str], None]
_INSTALLED = "/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(\S*)")
_LAST_LINES = 4
_GRACE = 5.0


def silent(line: str) -> None:
    """A listener that does not listen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """The programs of one version in one folder, and the environment that they are given.

    `held` are descriptors that a child keeps open as long as it lives: the lock of what it writes into.
    """

    folder: Path
    major: int
    version: str
    environment: Mapping[str, str] = field(repr=False, default_factory=dict)
    held: tuple[int, ...] = ()

    def call(self, name: str, *arguments: str, login: Login | None = None, **more: Any) -> str:
        """What a program has printed; OpsError with its last words where it failed."""
        lines: list[str] = []
        with self.running(name, *arguments, login=login, on_line=lines.append, **more) as process:
            process.wait()
        return "\n".join(lines)

    @contextmanager
    def running(
        self,
        name: str,
        *arguments: str,
        login: Login | None = None,
        on_line: Listener = silent,
        account: Account | None = None,
        accept: Sequence[int] = (0,),
    ) -> Iterator["subprocess.Popen[str]"]:
        """A program at work beside the body; it ends with the body, by force where that raises."""
        last: list[str] = []
        with self._start(name, arguments, login, account) as process:
            reader = threading.Thread(target=_read, args=(process, last, on_line), daemon=True)
            reader.start()
            try:
                yield process
                process.wait()
            except BaseException:
                _end(process)
                raise
            finally:
                reader.join(10)
        if process.returncode not in accept:
            raise OpsError(f"{name} failed: {_why(last) or f'exit code {process.returncode}'}")

    def _start(
        self, name: str, arguments: Sequence[str], login: Login | None, account: Account | None
    ) -> "subprocess.Popen[str]":
        settings: dict[str, Any] = {"env": {**self.environment, "LC_ALL": "C", **_libpq(login)}}
        if account:
            settings = account.popen()
        return subprocess.Popen(
            [str(self.folder / name), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=self.held,
            **settings,
        )


def _end(process: "subprocess.Popen[str]") -> None:
    """Ends a program in a way that lets it end its own workers and their statements."""
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()


def _read(process: "subprocess.Popen[str]", last: list[str], on_line: Listener) -> None:
    assert process.stdout
    for line in process.stdout:
        last[:] = [*last[-_LAST_LINES:], line.strip()]
        on_line(line.strip())


def _why(lines: Sequence[str]) -> str:
    """The words of a program that tell why it failed.

    >>> _why(["pg_dump: error: query failed: no", "pg_dump: detail: Query was: SELECT"])
    'query failed: no (Query was: SELECT)'
    """
    errors = [line.split("error: ", 1)[1] for line in lines if "error: " in line]
    details = [line.split("detail: ", 1)[1] for line in lines if "detail: " in line]
    told = errors[-1] if errors else " ".join(lines[-2:])
    return f"{told} ({details[-1]})" if errors and details else told


def _libpq(login: Login | None) -> dict[str, str]:
    """A login as libpq's environment has it, where no other user of the machine can read it."""
    if login is None:
        return {}
    known = {option.keyword.decode(): option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar}
    given = {known[key]: value for key, value in login.keywords.items() if key in known}
    return given | ({"PGPASSWORD": login.password} if login.password is not None else {})


def find_programs(
    server_version: int, *, configured: Path | None = None, environment: Mapping[str, str], exact: bool = False
) -> Programs:
    """The programs for a server; `exact` asks for its own major version, as starting its files does."""
    wanted, seen = server_version // 10_000, []
    for folder in _candidates(configured):
        found = _version_of(folder)
        if found is None:
            if folder == configured:
                raise BadInput(f"{folder} holds no pg_dump that runs", hint="name the folder bin of a PostgreSQL")
            continue
        seen.append((found[0], found[1], folder))
    able = [item for item in seen if (item[0] == wanted if exact else item[0] >= wanted)]
    if not able:
        newest = max((version for _, version, _ in seen), default="none")
        what = "other than" if exact else "older than"
        raise Refused(
            f"the programs here (PostgreSQL {newest}) are {what} the server's ({wanted})",
            hint=f"install postgresql-client-{wanted}; where it is said in settings.yaml: backups: {{programs: DIR}}",
        )
    major, version, folder = able[0] if able[0][2] == configured else min(able, key=lambda item: item[0])
    return Programs(folder=folder, major=major, version=version, environment=environment)


def _candidates(configured: Path | None) -> list[Path]:
    found = [configured] if configured else []
    with suppress(OpsError):
        found.append(binaries.installed() / "bin")
    for pattern in _INSTALLED:
        found += sorted(Path("/").glob(pattern.lstrip("/")))
    return found


def _version_of(folder: Path) -> tuple[int, str] | None:
    program = folder / "pg_dump"
    if not os.access(program, os.X_OK):
        return None
    with suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
        if match := _VERSION.search(told):
            return int(match[1]), f"{match[1]}{match[2]}"
    return None


def compression(programs: Programs) -> str:
    """The best way to compress that a pg_dump was built with; it says so before it connects."""
    if programs.major < 16:
        return "1"
    for method in ("zstd:3", "lz4"):
        try:
            programs.call("pg_dump", "-Fd", f"--compress={method}", "--file=/nonexistent", "--host=/nonexistent")
        except OpsError as error:
            if "does not support compression" not in error.message:
                return method
    return "gzip:1"
