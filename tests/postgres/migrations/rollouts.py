"""What the tests of careful changes share: a small history, migrations from text, a session that may change things."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from ops_lib.model.migration import Applied, Direction, Migration, Script
from ops_lib.model.rollout import Done, Limits
from ops_lib.model.target import Hazard, Login
from ops_lib.postgres.migrations import careful
from ops_lib.postgres.session import Session
from tests.conftest import open_session

NAME = "runbook/SOP-001/RUN1"
TABLE = "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)"


class Rows:
    """A history in a table of its own."""

    def prepare(self, connection: "psycopg.Connection[Any]") -> None:
        connection.execute("CREATE TABLE IF NOT EXISTS public.history (version text PRIMARY KEY, seconds float8)")

    def applied(self, connection: "psycopg.Connection[Any]") -> Mapping[str, Applied]:
        rows = connection.execute("SELECT version FROM public.history ORDER BY version").fetchall()
        return {version: Applied(version=version) for (version,) in rows}

    def record(self, connection: "psycopg.Connection[Any]", migration: Migration, seconds: float) -> None:
        connection.execute("INSERT INTO public.history VALUES (%s, %s)", [migration.version, seconds])

    def forget(self, connection: "psycopg.Connection[Any]", migration: Migration) -> None:
        connection.execute("DELETE FROM public.history WHERE version = %s", [migration.version])


def migration(version: str, up: str, down: str | None = None, *, transaction: bool = True) -> Migration:
    """One migration as its file would be read."""
    script = Script(file=Path(f"{version}.sql"), text=up, transaction=transaction)
    back = Script(file=Path(f"{version}.revert.sql"), text=down, transaction=transaction) if down else None
    return Migration(version=version, description=version, up=script, down=back)


def numbered(*texts: str) -> list[Migration]:
    """Migrations 01, 02 and so on."""
    return [migration(f"{number:02d}", text) for number, text in enumerate(texts, start=1)]


def changing(login: Login, name: str = NAME) -> Session:
    """The session of a run that may change its target."""
    return Session(name="test", login=login, application_name=name, hazard=Hazard.CHANGES)


def go(
    login: Login,
    migrations: Sequence[Migration],
    *,
    direction: Direction = Direction.APPLY,
    limits: Limits | None = None,
    tell: Callable[[str], None] = lambda text: None,
    name: str = NAME,
) -> list[Done]:
    """Applies or reverts in a session of its own."""
    act = careful.apply if direction is Direction.APPLY else careful.revert
    with changing(login, name) as session:
        return act(session, migrations, Rows(), limits=limits, tell=tell)


def value(login: Login, statement: str) -> Any:
    """The one value that a statement answers."""
    with open_session(login) as opened:
        row = opened.execute(statement.encode()).fetchone()
        return row[0] if row else None


def history(login: Login) -> list[str]:
    """The versions that a database has had."""
    with open_session(login) as opened:
        return [str(version) for (version,) in opened.execute("SELECT version FROM public.history ORDER BY version")]


def end_backends(login: Login, name: str = NAME) -> int:
    """Ends the sessions of a run from outside, as an administrator would; how many there were."""
    with suppress(psycopg.Error), open_session(login) as opened:
        return len(
            opened.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = %s AND datname = current_database()",
                [name],
            ).fetchall()
        )
    return 0


SET = [
    *numbered(TABLE, "INSERT INTO t SELECT generate_series(1, 500)"),
    migration("03", "UPDATE t SET n = n + 1; CREATE INDEX CONCURRENTLY i ON t (n); UPDATE t SET n = n + 1"),
    migration("04", "UPDATE t SET n = n + 1; ALTER TABLE t ADD a int; UPDATE t SET a = 1"),
    migration(
        "05", "DROP INDEX CONCURRENTLY i; CREATE UNIQUE INDEX CONCURRENTLY j ON t (id, n); UPDATE t SET n = n + 1"
    ),
    migration("06", "UPDATE t SET n = n + 1"),
]
"""Six migrations whose effects can be counted: whoever has had each of them once has n = 5 in every row."""
