"""Blockers: who stands in the way of a lock, and what can be done about each."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from ops_lib.model.errors import Refused
from ops_lib.model.rollout import Blocker
from ops_lib.postgres.questions import served

_OWN = "runbook/"
_WORKING = frozenset({"client backend", ""})


def ask(
    connection: psycopg.Connection, stem: str, name: str, parameters: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The rows of a question that lies beside this module."""
    return _executed(connection, stem, name, parameters).fetchall()


def change(connection: psycopg.Connection, stem: str, name: str, parameters: Mapping[str, Any] | None = None) -> None:
    """Does what lies beside this module and has no rows to answer."""
    _executed(connection, stem, name, parameters)


def _executed(
    connection: psycopg.Connection, stem: str, name: str, parameters: Mapping[str, Any] | None
) -> psycopg.Cursor[dict[str, Any]]:
    statement = served(__package__, stem, connection.info.server_version)[name]
    return connection.cursor(row_factory=dict_row).execute(statement.encode(), parameters or {})


def sessions(connection: psycopg.Connection, pids: Iterable[int]) -> tuple[Blocker, ...]:
    """What these sessions are, the oldest transaction first; prepared transactions are not among them."""
    rows = ask(connection, "blockers", "sessions", {"pids": sorted(set(pids))})
    found = [_blocker(row) for row in rows]
    return tuple(sorted(found, key=lambda each: -(each.transaction_s or 0)))


def prepared(connection: psycopg.Connection, waiting: int) -> tuple[Blocker, ...]:
    """The prepared transactions that a session waits for."""
    rows = ask(connection, "blockers", "prepared", {"pids": [waiting]})
    return tuple(
        Blocker(pid=0, gid=row["gid"], user=row["user_name"], transaction_s=row["prepared_s"], protected="is prepared")
        for row in rows
    )


def end(connection: psycopg.Connection, found: Sequence[Blocker]) -> tuple[Blocker, ...]:
    """Ends those of some that may be ended, and waits until they are gone; who was."""
    chosen = [each for each in found if each.may_be_ended]
    if not chosen:
        return ()
    asked = {"pids": [each.pid for each in chosen], "began": [each.began for each in chosen]}
    gone = {row["pid"] for row in ask(connection, "blockers", "end", asked) if row["gone"]}
    return tuple(each for each in chosen if each.pid in gone)


def refusal(what: str, found: Sequence[Blocker], *, resume: str, seconds: float) -> Refused:
    """What a person is told when somebody in the way has outlasted all patience: who, and the three ways on."""
    if not found:
        message = f"{what} got no lock in {seconds:.0f} s, and nobody was seen to hold it for long"
        return Refused(message, hint=f"try at a quieter time: {resume}")
    first, others = found[0], len(found) - 1
    more = f" and {others} more" if others else ""
    verb = "stand" if others else "stands"
    unending = f", though it {first.protected}" if first.protected else ""
    hint = (
        f"wait until it has ended and go on with: {resume}; or schedule it for a quieter time;"
        f" or end it{unending}: {first.remedy}"
    )
    return Refused(f"{what} got no lock in {seconds:.0f} s: {first}{more} {verb} in the way", hint=hint)


def _blocker(row: Mapping[str, Any]) -> Blocker:
    return Blocker(
        pid=row["pid"],
        application=row["application"],
        user=row["user_name"],
        state=row["state"],
        transaction_s=row["transaction_s"],
        statement=row["statement"],
        began=row["began"] or "",
        protected=_protection(row),
        reads_only=row["reads_only"],
    )


def _protection(row: Mapping[str, Any]) -> str:
    if row["application"].startswith(_OWN):
        return "is another runbook"
    if row["wraparound"]:
        return "is a vacuum that prevents wraparound"
    if row["backend_type"] == "walsender":
        return "sends to a replica"
    return "" if row["backend_type"] in _WORKING else f"is a {row['backend_type']}"
