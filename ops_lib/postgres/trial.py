"""Trials: a proposed index on a bounded copy of its table, in a scratch server and never on the target.

The copy keeps the columns that the index is about and as many rows as three seconds, 200,000 rows and 32 MB allow. It
lives in a database of its own, which is dropped whatever happens; what a killed run left behind is dropped next time.
"""

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from ops_lib.model.errors import OpsError
from ops_lib.model.target import Hazard, Login
from ops_lib.postgres.connection import connect
from ops_lib.postgres.facts import TableFacts
from ops_lib.postgres.questions import marked
from ops_lib.postgres.session import Limits, Session

PREFIX = "ops_trial_"
STALE_S = 600
MOST_ROWS = 200_000
MOST_BYTES = 32 * 1024 * 1024
MOST_SECONDS = 3.0
LIMITS = Limits(statement_ms=3_000, lock_ms=100)
SETTINGS = "SET max_parallel_workers_per_gather = 0; SET track_io_timing = on; SET statement_timeout = '10s'"


def attempt(
    session: Session, scratch: Login, facts: TableFacts, columns: Sequence[str], now: datetime
) -> dict[str, Any] | str:
    """What the index does to a search for one value: blocks and time before and after; or why that was not tried."""
    try:
        with _database(scratch, now) as copy:
            return _try(session, copy, facts, columns)
    except (OpsError, psycopg.Error, ValueError) as error:
        said = error.message if isinstance(error, OpsError) else str(error)
        return f"not tried: {said.strip().splitlines()[0] if said.strip() else type(error).__name__}"


def _try(session: Session, copy: psycopg.Connection, facts: TableFacts, columns: Sequence[str]) -> dict[str, Any]:
    rows = _fill(session, copy, facts)
    copy.execute("ANALYZE trial")
    before = _search(copy, facts, columns)
    copy.execute(sql.SQL("CREATE INDEX trial_index ON trial ({})").format(_identifiers(columns)))
    copy.execute("ANALYZE trial")
    after = _search(copy, facts, columns)
    return {
        "rows_copied": rows,
        "index": list(columns),
        "used": "trial_index" in after["plan"],
        "blocks_before": before["blocks"],
        "blocks_after": after["blocks"],
        "ms_before": before["ms"],
        "ms_after": after["ms"],
    }


def _fill(session: Session, copy: psycopg.Connection, facts: TableFacts) -> int:
    """Copies a sample through this client, all columns of the table, so that its rows are as wide as they are."""
    names = list(facts.columns)
    types = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(facts.columns[name].type)) for name in names
    )
    copy.execute(sql.SQL("CREATE TABLE trial ({})").format(types))
    read = sql.SQL("COPY (SELECT {} FROM {} {} LIMIT {}) TO STDOUT").format(
        _identifiers(names), sql.SQL(facts.name), sql.SQL(_sample(facts)), sql.Literal(MOST_ROWS)
    )
    write = sql.SQL("COPY trial ({}) FROM STDIN").format(_identifiers(names))
    with session.bounded(LIMITS), session.copying(marked(read.as_string())) as blocks, copy.cursor() as cursor:
        with cursor.copy(write) as into:
            _pour(blocks, into)
        return cursor.rowcount


def _pour(blocks: Iterator[bytes], into: psycopg.Copy) -> None:
    """Passes rows on until time or size is used up; what was poured until then is the sample."""
    started, size = time.perf_counter(), 0
    for block in blocks:
        into.write(block)
        size += len(block)
        if size > MOST_BYTES or time.perf_counter() - started > MOST_SECONDS:
            return


def _sample(facts: TableFacts) -> str:
    """The clause that spreads the sample over a large table; a small one is copied from its beginning."""
    if facts.tuples <= MOST_ROWS:
        return ""
    percent = max(0.01, round(100 * MOST_ROWS / facts.tuples, 3))
    return f"TABLESAMPLE SYSTEM ({percent})"


def _search(copy: psycopg.Connection, facts: TableFacts, columns: Sequence[str]) -> dict[str, Any]:
    """One search by the first column for a value of the copy, the second time, when the blocks are in memory."""
    column = sql.Identifier(columns[0])
    value = copy.execute(
        sql.SQL("SELECT {0} FROM trial WHERE {0} IS NOT NULL OFFSET 100 LIMIT 1").format(column)
    ).fetchone()
    if value is None:
        raise ValueError("the sample holds no value to search for")
    search = sql.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT count(*) FROM trial WHERE {} = {}").format(
        column, sql.Literal(value[0])
    )
    copy.execute(search)
    row = copy.execute(search).fetchone()
    assert row is not None
    top = row[0][0]
    blocks = top["Plan"]["Shared Hit Blocks"] + top["Plan"]["Shared Read Blocks"]
    return {"blocks": blocks, "ms": round(top["Execution Time"], 3), "plan": str(top["Plan"])}


def _identifiers(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


@contextmanager
def _database(scratch: Login, now: datetime) -> Iterator[psycopg.Connection]:
    """A database for one trial, with a session in it."""
    name = f"{PREFIX}{int(now.timestamp())}_{secrets.token_hex(4)}"
    with _session(scratch) as admin:
        _sweep(admin, now)
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        try:
            with _session(replace(scratch, keywords={**scratch.keywords, "dbname": name})) as copy:
                copy.execute(SETTINGS)
                yield copy
        finally:
            with suppress(psycopg.Error):
                _drop(admin, name)


def _session(login: Login) -> psycopg.Connection:
    return connect(login, application_name="runbook/trial", hazard=Hazard.CHANGES, lock_timeout_ms=2_000)


def _sweep(admin: psycopg.Connection, now: datetime) -> None:
    """Drops the databases of trials that were killed; the time of making is in the name."""
    known = "SELECT datname FROM pg_database WHERE datname LIKE %s AND split_part(datname, '_', 3) < %s"
    oldest = str(int(now.timestamp()) - STALE_S)
    for (name,) in admin.execute(known, [PREFIX.replace("_", r"\_") + "%", oldest]).fetchall():
        with suppress(psycopg.Error):
            _drop(admin, name)


def _drop(admin: psycopg.Connection, name: str) -> None:
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
