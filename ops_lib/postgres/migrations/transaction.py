"""Transactions: statements of a file that are done together, in as few round trips as can be."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from ops_lib.model.errors import Refused
from ops_lib.postgres.connection import settle
from ops_lib.postgres.migrations.watch import Sight
from ops_lib.postgres.session import Session
from ops_lib.postgres.sql_file import Connection, Statement, located


def transact(
    session: Session,
    file: Path,
    statements: Sequence[Statement],
    sight: Sight,
    *,
    lock_ms: int,
    key: int,
    close: Callable[[float], None],
    restore: bool = False,
) -> float:
    """One transaction of all statements and of what `close` writes; how many seconds it was open.

    What it has waited for locks so far, the next statement may not wait any more. It is alone by the lock `key`, which
    the transaction takes too: a file could have released that of the session. `restore` takes back what the statements
    have set before `close` writes.
    """
    connection, began = session.connection, time.monotonic()
    try:
        modes = [statement for statement in statements[:1] if _is_mode(statement)]
        rest = statements[len(modes) :]
        _open(connection, file, modes, rest[:1], lock_ms, key)
        for statement in rest[1:]:
            left = max(1, int(lock_ms - sight.waited_ms))
            _send(connection, file, f"SET LOCAL lock_timeout = {left}; ", statement)
        with located(file, ""), connection.pipeline():
            if restore:
                resettle(session)
            close(time.monotonic() - began)
            connection.execute("COMMIT")
    except BaseException:
        _undo(connection)
        raise
    return time.monotonic() - began


def _undo(connection: Connection) -> None:
    """Rolls back, or ends the session where it cannot even do that: it died with a pipeline under way."""
    with suppress(psycopg.Error):
        connection.execute("ROLLBACK")
        if connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            return
    connection.close()


def _is_mode(statement: Statement) -> bool:
    """Whether a statement says what kind of transaction this is, which nothing may come before."""
    node = statement.node
    return type(node).__name__ == "VariableSetStmt" and node.name == "TRANSACTION"


def _open(
    connection: Connection, file: Path, modes: Sequence[Statement], first: Sequence[Statement], lock_ms: int, key: int
) -> None:
    mode = "".join(f"{statement.text}; " for statement in modes)
    opening = f"BEGIN; {mode}SET LOCAL lock_timeout = {lock_ms}; SELECT pg_try_advisory_xact_lock({key}); "
    results = _send(connection, file, opening, *first)
    results.set_result(2 + len(modes))
    if results.fetchone() != (True,):
        raise Refused(f"{file}: somebody else migrates this database now", hint="wait until that has ended")


def _send(connection: Connection, file: Path, before: str, statement: Statement | None = None) -> psycopg.Cursor[Any]:
    """A statement behind others of our own in one message; they have no line, so that an error's line is the file's."""
    text = before + statement.text if statement else before
    with located(file, text, statement.line if statement else 1):
        return connection.execute(text.encode())


def sets(statement: Statement) -> bool:
    """Whether a statement changes settings of the session, which may be its role or its search path."""
    return type(statement.node).__name__ == "VariableSetStmt" or "set_config" in statement.text


def only_sets(statement: Statement) -> bool:
    """Whether a statement does nothing but change settings for longer than its transaction: it may be done again."""
    node = statement.node
    if type(node).__name__ == "SelectStmt" and not node.fromClause and len(node.targetList or ()) == 1:
        called = node.targetList[0].val
        return type(called).__name__ == "FuncCall" and called.funcname[-1].sval == "set_config"
    return type(node).__name__ == "VariableSetStmt" and not node.is_local


def resettle(session: Session) -> None:
    """Takes back what a file has set: what comes after finds the session as a new one would be."""
    connection, limits = session.connection, session.limits
    connection.execute("RESET SESSION AUTHORIZATION")
    connection.execute("RESET ALL")
    settle(connection, session.login.role, session.hazard, limits.statement_ms, limits.lock_ms)
