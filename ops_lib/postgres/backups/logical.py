"""Logical backups: one database as `pg_dump` writes it, counted in the very snapshot that is dumped.

dump/              directory format, parallel, compressed
roles.sql          roles and their settings by pg_dumpall, without passwords unless told so
tablespaces.sql    where tablespaces lay; never run by a drill
settings.json      what the server has set otherwise than PostgreSQL comes with it
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from ops_lib.model.advance import Advance
from ops_lib.model.backup import Saved, Source, TableContent
from ops_lib.model.errors import OpsError
from ops_lib.model.target import Identity, Login
from ops_lib.postgres.backups import content
from ops_lib.postgres.backups.programs import Programs, compression
from ops_lib.postgres.connection import connect, identify
from ops_lib.postgres.session import reason

Tell = Callable[[Advance], None]

APPLICATION = "runbook/backup"
BUDGET = 8 << 30
_FINISHED = re.compile(r"finished item \d+ TABLE DATA (.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a dump is to be made; `budget` is how many bytes of tables are read once more for their digests."""

    jobs: int = 2
    passwords: bool = False
    budget: int = BUDGET


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a dump is going to hold, and how large it is at the most."""

    identity: Identity
    tables: tuple[content.Table, ...]
    origin: Mapping[str, Any]

    @property
    def bytes(self) -> int:
        return sum(table["bytes"] for table in self.tables)


def shape(login: Login) -> Shape:
    """What there is to save."""
    with opened(login) as connection:
        return _shape(connection)


def _shape(connection: psycopg.Connection) -> Shape:
    (origin,) = content.asked(connection, "origin")
    return Shape(identity=identify(connection), tables=tuple(content.asked(connection, "tables")), origin=origin)


@contextmanager
def opened(login: Login) -> Iterator[psycopg.Connection]:
    """A reading connection without a limit of time; what the server says against it is one line."""
    with connect(login, application_name=APPLICATION, statement_timeout_ms=0, lock_timeout_ms=60_000) as connection:
        try:
            yield connection
        except psycopg.Error as error:
            raise OpsError(f"the database refused: {reason(error)}", hint=error.diag.message_hint) from None


def dump(login: Login, programs: Programs, folder: Path, asked: Asked, tell: Tell) -> Saved:
    """Save the login's database into an empty folder."""
    method = compression(programs)
    with opened(login) as connection:
        content.settle(connection)
        before = content.sequence_values(connection)
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            found, snapshot = _shape(connection), _export(connection)
            arguments = _arguments(login, folder, snapshot, asked, method)
            with programs.running("pg_dump", *arguments, login=login, on_line=_progress(found, tell)):
                tables = _counted(connection, found, asked.budget)
            _write_settings(connection, folder)
        after = content.sequence_values(connection)
    _write_globals(login, programs, folder, passwords=asked.passwords)
    return Saved(
        source=source_of(found.identity, found.origin), program=f"pg_dump {programs.version}",
        as_of=found.origin["at"], size=found.origin["bytes"], snapshot=snapshot, roles=tuple(found.origin["roles"]),
        sequences=content.between(before, after), tables=tables,
        notes=(*content.remarks(tables), *_less_than_zstd(method)),
    )  # fmt: skip


def _write_settings(connection: psycopg.Connection, folder: Path) -> None:
    settings = content.asked(connection, "settings")
    (folder / "settings.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")


def _export(connection: psycopg.Connection) -> str:
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    assert row
    return str(row[0])


def _arguments(login: Login, folder: Path, snapshot: str, asked: Asked, method: str) -> list[str]:
    role = [f"--role={login.role}"] if login.role else []
    return [
        "--format=directory", f"--file={folder / 'dump'}", f"--jobs={asked.jobs}", f"--compress={method}",
        f"--snapshot={snapshot}", "--lock-wait-timeout=60s", "--no-password", "--no-sync", "--verbose", *role,
    ]  # fmt: skip


def _counted(connection: psycopg.Connection, found: Shape, budget: int) -> tuple[TableContent, ...]:
    counts = [content.count(connection, table, seen) for table, seen in content.chosen(found.tables, budget)]
    return tuple(sorted(counts, key=lambda table: table.name))


def _write_globals(login: Login, programs: Programs, folder: Path, *, passwords: bool) -> None:
    known = [f"--role={login.role}"] if login.role else []
    known += [f"--database={login.keywords['dbname']}"] if "dbname" in login.keywords else []
    known += [] if passwords else ["--no-role-passwords"]
    for name in ("roles", "tablespaces"):
        file = f"--file={folder / f'{name}.sql'}"
        programs.call("pg_dumpall", f"--{name}-only", file, "--no-password", *known, login=login)


def _less_than_zstd(method: str) -> tuple[str, ...]:
    return () if method.startswith("zstd") else (f"compressed with {method}: this pg_dump was built without zstd",)


def _progress(found: Shape, tell: Tell) -> Callable[[str], None]:
    """Counts the tables that pg_dump says it has finished, by their size."""
    sizes: dict[str, list[int]] = {}
    for table in found.tables:
        sizes.setdefault(table["relation"], []).append(table["bytes"])
    began, done = time.monotonic(), 0

    def on_line(line: str) -> None:
        nonlocal done
        match = _FINISHED.search(line)
        if match and sizes.get(match[1]):
            done += sizes[match[1]].pop()
            tell(Advance(phase="saving", done=done, total=found.bytes, seconds=time.monotonic() - began))

    return on_line


def source_of(identity: Identity, origin: Mapping[str, Any]) -> Source:
    """What is remembered of the place that was saved."""
    return Source(
        system_identifier=identity.system_identifier,
        server_version=identity.server_version,
        database=identity.database,
        superuser=origin["superuser"],
        extensions=identity.extensions,
        creation={name: origin[name] for name in ("encoding", "provider", "collate", "ctype", "locale")},
    )
