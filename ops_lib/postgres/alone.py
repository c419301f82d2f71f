"""One changing run per database, whichever machine it comes from: an advisory lock of a session that stays open.

The server lets go of it when the session ends, however it ends. A transaction pooler would give the session to
somebody else, and the lock with it, so the lock is only taken where the server itself answers.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import psycopg

from ops_lib.model.errors import Refused
from ops_lib.model.target import Login
from ops_lib.postgres.connection import ask, configure, connect, place
from ops_lib.postgres.questions import question

KEY = int.from_bytes(b"runbook", "big")
Patience = Callable[[str], bool]

_OUTLIVES_SILENCE = {
    "idle_session_timeout": "0",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
"""The lock is kept however long a step takes, and goes within 20 s where this machine vanishes."""


class Alone:
    """The lock while it is held."""

    def __init__(self, connection: psycopg.Connection, where: str) -> None:
        self._connection, self._where = connection, where

    def require(self) -> None:
        """Refused where the session is gone, and the lock with it."""
        try:
            self._connection.execute("SELECT 1")
        except psycopg.Error:
            hint = "see whether the server was restarted, then run it again"
            raise Refused(f"the lock on {self._where} was lost", hint=hint) from None


@contextmanager
def alone(login: Login, *, application_name: str, patience: Patience) -> Iterator[Alone]:
    """Be the only changing run of a database; Refused names who is already, and since when."""
    with closing(connect(login, application_name=application_name)) as connection:
        configure(connection, _OUTLIVES_SILENCE)
        while not _taken(connection, login):
            holder = _holder(connection)
            if not patience(holder):
                raise Refused(f"{place(login)} is being changed by {holder}", hint="wait until that run ends")
        try:
            yield Alone(connection, place(login))
        finally:
            with suppress(psycopg.Error):
                connection.execute("SELECT pg_advisory_unlock_all()")


def _taken(connection: psycopg.Connection, login: Login) -> bool:
    """The process id that the server says is another than the one that a pooler made up when we connected."""
    answer = ask(connection, "take_lock", {"key": KEY})
    if answer["pid"] != connection.info.backend_pid:
        hint = "name the server itself in targets.yaml as direct: 'service=NAME' or direct: 'host=... dbname=...'"
        raise Refused(f"{place(login)} is a connection pooler, which would lose the lock of this run", hint=hint)
    return bool(answer["taken"])


def _holder(connection: psycopg.Connection) -> str:
    row = connection.execute(question("lock_holder").encode(), {"key": KEY}).fetchone()
    if row is None:
        return "another run"
    name, pid, user, since = row
    return f"{name} (session {pid} of {user})" + (f", since {since[:19]}Z" if since else "")
