"""Scratch: where migrations are rehearsed, so that nothing that they make touches anything real.

By default a server of its own, thrown away as a whole; in a folder whose lock says who is alive:

    home/lock           held while folders are made and swept
    home/XXXXXXXX/      one rehearsal's
      alive             locked as long as its process lives
      postgres/ ...     its server

Or databases of our own on a server that a login names. What a killed process left, in either place, goes when the next
one begins; there, roles that its migrations had made are the exception.
"""

import fcntl
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from ops_lib.model.errors import OpsError, Refused
from ops_lib.model.migration import Script
from ops_lib.model.target import Hazard, Login
from ops_lib.postgres import binaries
from ops_lib.postgres.connection import configure, connect
from ops_lib.postgres.migrations.reach import made_roles, require_harmless
from ops_lib.postgres.questions import served
from ops_lib.postgres.server import EmbeddedServer

PREFIX = "runbook_scratch_"
_SETTINGS = Path(__file__).with_name("scratch.conf")
_PATIENCE = 5.0


class Scratch:
    """A server on which databases can be made and lost. `own` where it is thrown away with everything on it."""

    def __init__(self, admin: Login, *, own: bool, token: str) -> None:
        self.own = own
        self._admin, self._token, self._count = admin, token, 0
        self._made: set[str] = set()
        with self.session() as session:
            self.roles = frozenset(_names(session, "role_names"))

    def login(self, name: str) -> Login:
        """How one of its databases is reached."""
        return replace(self._admin, keywords={**self._admin.keywords, "dbname": name})

    def database(self) -> str:
        """A fresh empty one."""
        return self._create("template0")

    def copy(self, name: str) -> str:
        """One that is as `name` is now. Nobody may be connected to that; a session that ends is waited for."""
        return self._create(name)

    def has_rows(self, name: str) -> bool:
        """Whether anything is stored in it."""
        with closing(_connect(self.login(name), "runbook/rehearsal")) as session:
            return session.execute(_asked(session, "has_rows"), {}).fetchone() == (True,)

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        with self.session() as session:
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def admit(self, scripts: Sequence[Script]) -> None:
        """Let scripts run here; the new roles that they make are dropped at the end. Refused where they would harm."""
        if not self.own:
            require_harmless(scripts, self.roles)
        self._made |= made_roles(scripts)

    def mark_role(self, session: psycopg.Connection, role: str) -> None:
        """Make a role that a copy needs; nobody can log in as it."""
        name, mark = sql.Identifier(role), sql.Literal(f"runbook scratch {self._token}")
        session.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(name))
        session.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(name, mark))

    def forget(self) -> None:
        """Drop what migrations made beyond their databases, which must be gone, and the roles that copies needed."""
        with self.session() as session:
            marked = {role for role, token in session.execute(_asked(session, "left_roles")) if token == self._token}
            made = self._made & set(_names(session, "role_names")) - self.roles
            for name in _names(session, "foreign_databases") if self.own else ():
                self.drop(name)
            for role in marked | made:
                with suppress(psycopg.Error):
                    session.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))

    def close(self) -> None:
        """Drop its databases, and what was made beyond them."""
        with self.session() as session:
            for name in _names(session, "left_databases"):
                if _token_of(name) == self._token:
                    self.drop(name)
        self.forget()

    def session(self) -> closing[psycopg.Connection]:
        """A session of the administrator."""
        return closing(_connect(self._admin, "runbook/rehearsal"))

    def _create(self, template: str) -> str:
        self._count += 1
        name = f"{PREFIX}{self._token}_{self._count}"
        made = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        with self.session() as session:
            # It copies files in place of logging every page, after a checkpoint that others would feel.
            if self.own and session.info.server_version >= 150_000:
                made += sql.SQL(" STRATEGY file_copy")
            _await_vacancy(session, template)
            session.execute(made)
        return name


@contextmanager
def scratch(login: Login | None, home: Path) -> Iterator[Scratch]:
    """A place for one rehearsal: a server of our own below `home`, or databases on the server that `login` leads to."""
    with _embedded(home) if login is None else _borrowed(login) as place:
        yield place


def lacks(place: Scratch, needed: Iterable[str]) -> list[str]:
    """The extensions among these that the scratch server cannot create."""
    with place.session() as session:
        asked = session.execute(_asked(session, "lacks"), {"names": sorted(needed)})
        return [name for (name,) in asked]


def require_extensions(place: Scratch, needed: Iterable[str]) -> None:
    """Refused, with their names, where the scratch server lacks some."""
    if missing := lacks(place, needed):
        hint = "name a scratch server that has them, on which databases may be created"
        raise Refused(f"the scratch server lacks {_listed(missing)}", hint=hint)


def _listed(missing: Sequence[str]) -> str:
    return f"the extension{'s' if len(missing) > 1 else ''} {', '.join(missing)}"


# A server of our own.


@contextmanager
def _embedded(home: Path) -> Iterator[Scratch]:
    token = secrets.token_hex(4)
    folder = home / token
    binaries.make_folder(home, mode=0o711)
    with binaries.locked(home / "lock"):
        _sweep(home)
        binaries.make_folder(folder, mode=0o711)
        alive = (folder / "alive").open("ab")
        fcntl.flock(alive, fcntl.LOCK_EX)
    server = EmbeddedServer(folder, settings=_SETTINGS, durable=False)
    with alive:
        try:
            server.start()
            yield Scratch(server.login(dbname="postgres"), own=True, token=token)
        finally:
            server.remove()
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(home: Path) -> None:
    """Ends and removes the servers whose processes are gone."""
    for alive in home.glob("*/alive"):
        with alive.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            with suppress(OpsError):
                EmbeddedServer(alive.parent).remove()
                shutil.rmtree(alive.parent, ignore_errors=True)


# Databases on a server of others.


@contextmanager
def _borrowed(login: Login) -> Iterator[Scratch]:
    token = secrets.token_hex(4)
    with closing(_connect(login, f"runbook/scratch/{token}")) as alive:
        configure(alive, {"idle_session_timeout": "0"})
        _require_may_create(alive)
        _sweep_databases(login, alive)
        place = Scratch(login, own=False, token=token)
        try:
            yield place
        finally:
            place.close()


def _require_may_create(session: psycopg.Connection) -> None:
    row = session.execute("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    if row != (True,):
        hint = "ALTER ROLE ... CREATEDB, or leave the scratch server out: the embedded one is used then"
        raise Refused(f"{session.info.user} may not create databases on the scratch server", hint=hint)


def _sweep_databases(login: Login, session: psycopg.Connection) -> None:
    alive = set(_names(session, "alive"))
    tokens = {_token_of(name) for name in _names(session, "left_databases")}
    tokens |= {token for _, token in session.execute(_asked(session, "left_roles"))}
    for token in tokens - alive:
        with suppress(psycopg.Error):
            Scratch(login, own=False, token=token).close()


def _token_of(name: str) -> str:
    """Which rehearsal a database belongs to.

    >>> _token_of("runbook_scratch_0a1b2c3d_7")
    '0a1b2c3d'
    """
    return name.removeprefix(PREFIX).partition("_")[0]


def _connect(login: Login, name: str) -> psycopg.Connection:
    return connect(login, application_name=name, hazard=Hazard.CHANGES, statement_timeout_ms=0, lock_timeout_ms=0)


def _await_vacancy(session: psycopg.Connection, name: str) -> None:
    """The server itself looks again only every 100 ms."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if session.execute(_asked(session, "present"), {"name": name}).fetchone() == (0,):
            return
        time.sleep(0.002)


def _asked(session: psycopg.Connection, name: str) -> bytes:
    return served(__package__, "scratch", session.info.server_version)[name].encode()


def _names(session: psycopg.Connection, question: str) -> list[str]:
    rows: Iterable[Any] = session.execute(_asked(session, question), {})
    return [row[0] for row in rows]
