"""What a restored server is asked, so that its backup counts: is it whole, and does it hold what was saved?"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from ops_lib.model.backup import Saved, Seen, TableContent
from ops_lib.model.errors import OpsError
from ops_lib.model.target import Login
from ops_lib.postgres import sql_file
from ops_lib.postgres.backups import content
from ops_lib.postgres.backups.programs import Programs

_TOLD = 3
_CORRUPT = 2


class Differs(OpsError):
    """A restored database is not what was saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A check that was passed, in words, and what it could not look at."""

    said: str
    whole: bool = True


def amcheck(programs: Programs, login: Login, *, jobs: int) -> Held:
    """Every table and B-tree index of every database, and that the indexes hold what the tables hold."""
    lines: list[str] = []
    arguments = ["--all", "--install-missing", "--heapallindexed", f"--jobs={jobs}", "--no-password"]
    with programs.running("pg_amcheck", *arguments, login=login, on_line=lines.append, accept=(0, _CORRUPT)) as process:
        process.wait()
    if process.returncode == _CORRUPT:
        told = [line.rstrip(":") for line in lines if line]
        raise Differs(f"pg_amcheck finds corruption: {' '.join(told[:2])}{_more(len(told) // 2 - 1)}")
    return Held(said="every index holds what its table holds")


def counts(connection: psycopg.Connection, saved: Saved) -> tuple[Held, dict[str, TableContent]]:
    """That each table has as many rows as were saved, and what was found for the digests."""
    expected = {table.name: table for table in saved.tables}
    found = {table["name"]: table for table in content.asked(connection, "tables")}
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or extra:
        told = [f"{name} is missing" for name in missing] + [f"{name} was not saved" for name in extra]
        raise Differs(_list(told))
    now = {name: content.count(connection, found[name], table.seen) for name, table in expected.items()}
    wrong = [
        f"{name} has {now[name].rows} rows, saved were {table.rows}"
        for name, table in expected.items() if now[name].rows != table.rows
    ]  # fmt: skip
    if wrong:
        raise Differs(_list(wrong))
    rows = sum(table.rows for table in now.values())
    return Held(said=f"{len(now)} tables with {rows:,} rows, as saved"), now


def digests(saved: Saved, now: dict[str, TableContent], *, same_locale: bool) -> Held:
    """That the rows are those that were saved; ends of a key can be told only where keys sort as they did."""
    told = [table for table in saved.tables if table.seen is Seen.WHOLE or (table.seen is Seen.ENDS and same_locale)]
    wrong = [
        f"{table.name} holds other rows than were saved" for table in told if now[table.name].digest != table.digest
    ]
    if wrong:
        raise Differs(_list(wrong))
    sampled = sum(table.seen is Seen.ENDS for table in told)
    unseen = len(saved.tables) - len(told)
    said = f"the rows of {len(told)} tables are those that were saved"
    said += f", of {sampled} of them at both ends of the key" if sampled else ""
    return Held(said=said + (f"; {unseen} were only counted" if unseen else ""), whole=not unseen)


def sequences(connection: psycopg.Connection, saved: Saved) -> Held:
    """That each sequence goes on from where it stood."""
    now = content.sequence_values(connection)
    missing = [f"sequence {item.name} is missing" for item in saved.sequences if item.name not in now]
    wrong = [
        f"sequence {item.name} stands at {now[item.name]}, saved was {item.highest}"
        for item in saved.sequences if item.name in now and not item.holds(now[item.name])
    ]  # fmt: skip
    if missing or wrong:
        raise Differs(_list([*missing, *wrong]))
    return Held(said=f"{len(saved.sequences)} sequences go on from where they stood")


def assertions(connection: psycopg.Connection, files: Sequence[Path]) -> Held:
    """That no statement of the team's own answers a row that holds false; they cannot change anything."""
    count = 0
    for file in files:
        text = file.read_text(encoding="utf-8")
        for statement in sql_file.statements(text, str(file)):
            with connection.transaction(force_rollback=True), sql_file.located(file, statement.text, statement.line):
                connection.execute("SET TRANSACTION READ ONLY")
                cursor = connection.execute(statement.text.encode())
                if wrong := next(_false_rows(cursor), None):
                    raise Differs(f"{file.name}, line {statement.line}: {wrong}")
            count += 1
    return Held(said=f"{count} assertions of {len(files)} files hold" if count else "there are none", whole=bool(count))


def _false_rows(cursor: psycopg.Cursor[tuple[object, ...]]) -> Iterator[str]:
    """The rows of an answer that hold false, in words."""
    names = [column.name for column in cursor.description or ()]
    for row in cursor if cursor.description else ():
        false = [name for name, value in zip(names, row, strict=True) if value is False]
        if false:
            others = ", ".join(f"{n} {v}" for n, v in zip(names, row, strict=True) if n not in false)
            yield f"{', '.join(false)} is false{f' where {others}' if others else ''}"


def last_commit(connection: psycopg.Connection) -> datetime | None:
    """Until when the log of a restored cluster was replayed."""
    row = connection.execute("SELECT pg_last_xact_replay_timestamp()").fetchone()
    return row[0] if row and isinstance(row[0], datetime) else None


def _list(told: Iterable[str]) -> str:
    said = list(told)
    return "; ".join(said[:_TOLD]) + _more(len(said) - _TOLD)


def _more(count: int) -> str:
    return f", and {count} more" if count > 0 else ""
