"""What tables and sequences hold: row counts, and digests that do not depend on the order of rows.

The digest of a table is the sum over its rows of a 64-bit hash of the row as text, so that it can be taken in parallel
and again after a restore. It finds what goes wrong by accident; against malice stand the SHA-256 of the files and the
signature. Tables are looked at from the smallest up until a budget of bytes is used; of larger ones with a primary key
the rows at both ends of it, of others only the number.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from ops_lib.model.backup import Seen, SequenceValue, TableContent
from ops_lib.postgres.connection import configure
from ops_lib.postgres.questions import served

ENDS = 10_000
_PATIENCE = "60s"
_AS_TEXT: Mapping[str, str] = {
    "search_path": "", "datestyle": "ISO, YMD", "intervalstyle": "postgres", "timezone": "UTC", "lc_monetary": "C",
    "extra_float_digits": "3", "bytea_output": "hex", "xmlbinary": "base64",
    "row_security": "off", "lock_timeout": _PATIENCE, "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0", "transaction_timeout": "0",
}  # fmt: skip
_WHOLE = 'SELECT count(*), coalesce(sum(hashtextextended((r.*)::text COLLATE "C", 0)), 0)::text FROM ONLY {table} AS r'
_COUNTED = "SELECT count(*), NULL FROM ONLY {table}"
_AT_ENDS = """
SELECT (SELECT count(*) FROM ONLY {table}), coalesce(sum(hashtextextended(e.row COLLATE "C", 0)), 0)::text FROM (
    (SELECT (r.*)::text AS row FROM ONLY {table} AS r ORDER BY {up} LIMIT {ends}) UNION ALL
    (SELECT (r.*)::text AS row FROM ONLY {table} AS r ORDER BY {down} LIMIT {ends})) AS e"""

Table = Mapping[str, Any]


def settle(connection: psycopg.Connection) -> None:
    """Settings under which equal rows are equal texts, whoever is asked; no row may be hidden by a policy."""
    configure(connection, _AS_TEXT)


def asked(connection: psycopg.Connection, name: str) -> list[dict[str, Any]]:
    """The rows of one question of content.sql."""
    statement = served(__package__, "content", connection.info.server_version)[name]
    return connection.cursor(row_factory=dict_row).execute(statement.encode(), {}).fetchall()


def chosen(tables: Iterable[Table], budget: int) -> Iterator[tuple[Table, Seen]]:
    """How much is to be seen of each table; they come from the smallest up."""
    left = budget
    for table in tables:
        left -= table["bytes"]
        yield table, Seen.WHOLE if left >= 0 else Seen.ENDS if table["key"] else Seen.COUNTED


def count(connection: psycopg.Connection, table: Table, seen: Seen) -> TableContent:
    """The content of one table as this transaction sees it."""
    rows, digest = connection.execute(_statement(table, seen)).fetchone() or (0, None)
    return TableContent(name=table["name"], rows=rows, digest=digest, seen=seen)


def _statement(table: Table, seen: Seen) -> sql.Composed:
    name = sql.Identifier(table["schema"], table["relation"])
    if seen is not Seen.ENDS:
        return sql.SQL(_WHOLE if seen is Seen.WHOLE else _COUNTED).format(table=name)
    keys = [sql.Identifier("r", column) for column in table["key"]]
    return sql.SQL(_AT_ENDS).format(
        table=name,
        up=sql.SQL(", ").join(keys),
        down=sql.SQL(", ").join(sql.SQL("{} DESC").format(key) for key in keys),
        ends=sql.Literal(ENDS),
    )


def sequence_values(connection: psycopg.Connection) -> dict[str, int | None]:
    """Where each sequence stands now."""
    return {row["name"]: row["value"] for row in asked(connection, "sequences")}


def between(before: Mapping[str, int | None], after: Mapping[str, int | None]) -> tuple[SequenceValue, ...]:
    """The ranges in which sequences stood; one that was made meanwhile is not in the dump's snapshot.

    >>> between({"a": 3}, {"a": 5})
    (SequenceValue(name='a', lowest=3, highest=5),)
    """
    found = []
    for name, first in before.items():
        values = [value for value in (first, after.get(name, first)) if value is not None]
        lowest = min(values) if values and first is not None else None
        found.append(SequenceValue(name=name, lowest=lowest, highest=max(values, default=None)))
    return tuple(found)


def remarks(tables: Sequence[TableContent]) -> tuple[str, ...]:
    """What was seen in part only, said so."""
    ends = [table.name for table in tables if table.seen is Seen.ENDS]
    counted = [table.name for table in tables if table.seen is Seen.COUNTED]
    told = [f"of {', '.join(ends)} the digest has {ENDS:,} rows at each end of the primary key"] if ends else []
    return (*told, f"of {', '.join(counted)} only the rows are counted") if counted else tuple(told)
