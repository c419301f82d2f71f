"""Taking a snapshot of a real database."""

import time
from collections.abc import Callable

from ops_lib.model.snapshot import Snapshot
from ops_lib.model.target import Login
from ops_lib.postgres.session import Session
from ops_lib.postgres.snapshot import take
from tests.postgres.conftest import NOW, Person, Waiting, execute, until, waiters

TABLES = (
    'CREATE TABLE "Odd name" (a int, "b c" text, d date, e text)',
    'CREATE UNIQUE INDEX i1 ON "Odd name" (a) INCLUDE (d) NULLS NOT DISTINCT',
    'CREATE INDEX i2 ON "Odd name" ("b c" COLLATE "C" text_pattern_ops DESC, a NULLS FIRST, d DESC NULLS LAST)',
    'CREATE INDEX i3 ON "Odd name" (lower(e)) WHERE a > 3',
    'CREATE INDEX i4 ON "Odd name" USING brin (d)',
    'ALTER TABLE "Odd name" ADD PRIMARY KEY (a)',
)


def test_definitions_are_those_of_the_server(database: Login, session: Session) -> None:
    """Built from the catalog without a lock, an index reads as pg_get_indexdef() writes it."""
    execute(database, *TABLES)
    taken = take(session, NOW)
    rows = session.rows(
        "SELECT pg_get_indexdef(indexrelid) AS text FROM pg_index WHERE indrelid = '\"Odd name\"'::regclass"
    )
    assert {index.definition() for index in taken.indexes} == {row["text"] for row in rows}
    assert taken.indexes[0].constraint == "p"
    assert Snapshot.from_bytes(taken.to_bytes()) == taken


def test_statements_come_with_the_extension(database: Login, session: Session) -> None:
    """Without pg_stat_statements the snapshot says what to do; with it, it has the statements of others."""
    assert take(session, NOW).statements is None
    assert "CREATE EXTENSION" in take(session, NOW).notes[0]
    execute(database, "CREATE EXTENSION pg_stat_statements", "SELECT count(*) FROM generate_series(1, 5) AS counted")
    statements = take(session, NOW).statements
    assert statements is not None
    texts = [item.text for item in statements]
    assert "SELECT count(*) FROM generate_series($1, $2) AS counted" in texts
    assert not any("runbook" in text for text in texts)


def test_it_does_not_queue(
    database: Login, session: Session, person: Callable[[str], Person], waiting: Waiting
) -> None:
    """Behind a queued ALTER TABLE it takes no longer than before, and leaves out only what it could not read."""
    execute(database, *TABLES)
    reader, changer = person("reader"), person("changer")
    reader.execute('SELECT * FROM "Odd name"')
    waiting.start(changer, 'ALTER TABLE "Odd name" ADD COLUMN f int')
    until(lambda: waiters(session) == 1)
    started = time.monotonic()
    taken = take(session, NOW)
    assert time.monotonic() - started < 1
    assert [index.name for index in taken.indexes if not index.shape] == ["i3"]
    reader.rollback()
