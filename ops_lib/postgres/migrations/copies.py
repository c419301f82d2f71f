"""Copies: a scratch database with the schema of a target, or with what a dump of it holds.

The copy has the target's owners, grants and roles. Its roles cannot log in. Publications, subscriptions and the user
mappings of foreign servers are left out: a copy reaches no other server.
"""

import re
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from ops_lib.model.errors import BadInput, OpsError, Refused
from ops_lib.model.target import Login
from ops_lib.postgres.connection import connect
from ops_lib.postgres.migrations.clients import call
from ops_lib.postgres.migrations.scratch import Scratch, require_extensions
from ops_lib.postgres.questions import served

_LEFT_OUT = re.compile(r"\d+; \d+ \d+ USER MAPPING .*")
_LOCK_WAIT_MS = 500
_TRIES = 6
Answer = TypeVar("Answer")
_QUIET = ("--no-publications", "--no-subscriptions", "--no-tablespaces")
_MAY = ("SUPERUSER", "CREATEROLE", "CREATEDB", "INHERIT", "BYPASSRLS")


def copy_schema(source: Login, place: Scratch) -> Login:
    """A scratch database with the schema of `source`, whose rows are not read.

    Refused where the scratch server lacks an extension. It waits half a second at most for one who alters a table, so
    that nobody queues up behind it for longer, and tries again some times.
    """
    with closing(connect(source, application_name="runbook/rehearsal")) as asked:
        require_extensions(place, (name for (name,) in _rows(asked, "extensions")))
        copy = place.login(place.database())
        _copy_roles(asked, place)
        _copy_database(asked, place, copy)
    with tempfile.TemporaryDirectory(prefix="ops-copy-") as folder:
        archive = Path(folder) / "schema.dump"
        patiently(lambda: _dump(source, archive))
        _restore(archive, copy)
    return copy


def restore(archive: Path, place: Scratch, *, source: Login | None = None) -> Login:
    """A scratch database with what `pg_dump` has written in its custom, directory or tar format, rows included.

    With the owners and grants of the dump where `source` can be asked for its roles, and without them otherwise.
    """
    if not archive.exists():
        raise BadInput(f"{archive} does not exist", hint="name a file or folder that pg_dump has written")
    require_extensions(place, _extensions_in(archive))
    copy = place.login(place.database())
    if source is None:
        _restore(archive, copy, "--no-owner", "--no-privileges")
        return copy
    with closing(connect(source, application_name="runbook/rehearsal")) as asked:
        _copy_roles(asked, place)
        _copy_database(asked, place, copy)
    _restore(archive, copy)
    return copy


def _dump(source: Login, archive: Path) -> None:
    role = (f"--role={source.role}",) if source.role else ()
    call(
        "pg_dump", source, "--schema-only", "--format=custom", f"--file={archive}", *_QUIET,
        f"--lock-wait-timeout={_LOCK_WAIT_MS}", *role,
    )  # fmt: skip


def _restore(archive: Path, copy: Login, *options: str) -> None:
    database = f"--dbname={copy.keywords['dbname']}"
    contents = call("pg_restore", None, "--list", str(archive)).splitlines()
    with tempfile.NamedTemporaryFile("w", prefix="ops-copy-", errors="surrogateescape") as kept:
        kept.writelines(f"{line}\n" for line in contents if _LEFT_OUT.fullmatch(line) is None)
        kept.flush()
        wanted = f"--use-list={kept.name}"
        call("pg_restore", copy, database, wanted, "--exit-on-error", *_QUIET, *options, str(archive))


def patiently(dump: Callable[[], Answer]) -> Answer:
    """What a dump answers. Tries again where somebody alters a table just now; Refused where that takes long."""
    for _ in range(_TRIES):
        try:
            return dump()
        except OpsError as error:
            if "timeout" not in error.message:
                raise
        time.sleep(_LOCK_WAIT_MS / 1000)  # in which those who queued up behind us get their turn
    hint = "see who holds a lock on a table, and try again once it is done"
    raise Refused("the schema of the target cannot be read now: somebody alters it", hint=hint)


def _extensions_in(archive: Path) -> set[str]:
    """The extensions that the table of contents of a dump names."""
    lines = (line.split() for line in call("pg_restore", None, "--list", str(archive)).splitlines())
    return {words[5] for words in lines if len(words) > 5 and words[3:5] == ["EXTENSION", "-"]} - {"plpgsql"}


def _copy_roles(asked: psycopg.Connection, place: Scratch) -> None:
    """The roles that the scratch server has not, with what they may do and whose members they are.

    On a server of others they may do nothing beyond it.
    """
    with place.session() as session:
        there = {name for (name,) in session.execute("SELECT rolname FROM pg_roles")}
        wanted = {name: may for name, *may in _rows(asked, "roles") if name not in there}
        for name, may in wanted.items():
            place.mark_role(session, name)
            words = [word for word, so in zip(_MAY, may, strict=True) if so and place.own]
            if words:
                session.execute(sql.SQL("ALTER ROLE {} ").format(sql.Identifier(name)) + sql.SQL(" ".join(words)))
        for role, member in _rows(asked, "members"):
            if member in wanted and (place.own or role in wanted):
                with suppress(psycopg.errors.UndefinedObject):
                    session.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(member)))


def _copy_database(asked: psycopg.Connection, place: Scratch, copy: Login) -> None:
    """Its owner, its grants and the settings with which its sessions begin."""
    ((owner, grants),) = _rows(asked, "database")
    database = sql.Identifier(copy.keywords["dbname"])
    with place.session() as session:
        for grant in grants:
            grantee, _, privilege = grant.rpartition("=")
            to = sql.Identifier(grantee) if grantee else sql.SQL("PUBLIC")
            session.execute(sql.SQL("GRANT {} ON DATABASE {} TO {}").format(sql.SQL(privilege), database, to))
        for name, value in _rows(asked, "settings"):
            with suppress(psycopg.Error):  # a setting of an extension that is not loaded here
                session.execute(
                    sql.SQL("ALTER DATABASE {} SET {} = {}").format(database, sql.SQL(name), _set(name, value))
                )
        if place.own:
            session.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, sql.Identifier(owner)))


def _set(name: str, value: str) -> sql.Composable:
    """A value as it is set: of a search path each schema by itself.

    >>> _set("search_path", 'raw, "$user"').as_string(None)
    '"raw", "$user"'
    """
    if name != "search_path":
        return sql.Literal(value)
    return sql.SQL(", ").join(sql.Identifier(each.strip().strip('"')) for each in value.split(","))


def _rows(connection: psycopg.Connection, name: str) -> list[Any]:
    return connection.execute(served(__package__, "copies", connection.info.server_version)[name].encode()).fetchall()
