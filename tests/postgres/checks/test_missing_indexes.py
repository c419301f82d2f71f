"""Indexes that costly statements miss, on real plans."""

from dataclasses import replace

import pytest

from ops_lib.model.finding import Severity
from ops_lib.model.result import Result
from ops_lib.model.target import Login
from ops_lib.postgres.checks import CHECKS, Evidence
from ops_lib.postgres.session import Session
from ops_lib.postgres.snapshot import take
from tests.postgres.conftest import NOW, execute

EVENTS = (
    "CREATE EXTENSION IF NOT EXISTS pg_stat_statements",
    """CREATE TABLE ev AS
    SELECT i AS id, timestamptz '2026-01-01' + i * interval '25 s' AS ts, (i::bigint * 7919 % 20000)::int AS dev,
           i % 4 AS site, 'x'::varchar(20) || i % 5000 AS kind, repeat('p', 60) AS pad
    FROM generate_series(1, 300000) AS i""",
    "CREATE VIEW recent AS SELECT e.* FROM ev AS e",
    """CREATE FUNCTION of_device(device int) RETURNS bigint LANGUAGE plpgsql AS
    $$ BEGIN RETURN (SELECT count(*) FROM ev WHERE dev = device); END $$""",
    "CREATE TABLE small AS SELECT i AS id FROM generate_series(1, 400) AS i",
    "ANALYZE",
    "SELECT pg_stat_statements_reset()",
)


def _look(session: Session, **more: object) -> Result:
    return CHECKS["missing_indexes"].look(Evidence(session=session, now=NOW, **more))  # type: ignore[arg-type]


def _work(login: Login, statement: str, times: int = 30) -> None:
    execute(login, *[statement] * times)


@pytest.mark.parametrize(
    ("statement", "columns"),
    [
        ("SELECT count(*) FROM ev WHERE dev = 5", "(dev)"),
        ("SELECT * FROM ev WHERE site = 1 AND dev = 5", "(dev)"),
        ("SELECT * FROM recent AS r WHERE r.dev IN (1, 2)", "(dev)"),
        ("UPDATE ev SET site = 1 WHERE dev = 77", "(dev)"),
        ("WITH x AS (SELECT * FROM ev WHERE kind = 'x7') SELECT count(*) FROM x", "(kind)"),
        (
            "SELECT s.id, e.* FROM small s CROSS JOIN LATERAL (SELECT * FROM ev WHERE dev = s.id) e WHERE s.id = 3",
            "(dev)",
        ),
        ("SELECT of_device(5)", "(dev)"),
        ("SELECT * FROM ev ORDER BY ts DESC LIMIT 5", "(ts)"),
        ("SELECT * FROM ev WHERE ts BETWEEN '2026-01-05' AND '2026-01-05 00:10'", "(ts)"),
    ],
)
def test_what_a_costly_statement_searches_by(database: Login, session: Session, statement: str, columns: str) -> None:
    """Views, functions, joins, CTEs and changes lead to the real table and to its column."""
    execute(database, *EVENTS)
    _work(database, statement)
    (finding,) = _look(session).findings
    assert (finding.subject, finding.cause, finding.severity) == ("public.ev", "missing-index", Severity.WARNING)
    assert finding.remedy.sql == f"CREATE INDEX CONCURRENTLY ON public.ev {columns};"
    assert finding.symptoms[0].startswith("queries:query:")
    assert finding.evidence["trial"].startswith("not tried")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) FROM ev WHERE ts::date = '2026-01-05'",
        "SELECT count(*) FROM ev WHERE dev::numeric = 5.0",
        "SELECT count(*) FROM ev WHERE site = 2",
        "SELECT site, count(*) FROM ev GROUP BY site",
        "SELECT count(*) FROM small WHERE id = 7",
    ],
)
def test_where_no_index_on_a_column_would_help(database: Login, session: Session, statement: str) -> None:
    """Expressions, columns that select little, reports and small tables are silent."""
    execute(database, *EVENTS)
    _work(database, statement)
    assert _look(session).findings == ()


@pytest.mark.parametrize("index", ["(dev)", "(dev, site)", "(dev) INCLUDE (ts)"])
def test_what_was_repaired_is_silent_at_once(database: Login, session: Session, index: str) -> None:
    """The slow time is still in the counters, and the plan of now uses the index."""
    execute(database, *EVENTS)
    _work(database, "SELECT count(*) FROM ev WHERE dev = 5")
    assert len(_look(session).findings) == 1
    execute(database, f"CREATE INDEX ON ev {index}")
    assert _look(session).findings == ()


@pytest.mark.parametrize("index", ["CREATE INDEX ON ev (dev) WHERE site = 9", "CREATE INDEX ON ev (site, dev)"])
def test_an_index_that_does_not_serve_does_not_hide_the_need(database: Login, session: Session, index: str) -> None:
    """A partial index, or one that leads with another column, is no answer where the plan does not use it."""
    execute(database, *EVENTS, index)
    _work(database, "SELECT count(*) FROM ev WHERE dev = 5")
    findings = _look(session).findings
    assert [finding.remedy.sql for finding in findings] in (["CREATE INDEX CONCURRENTLY ON public.ev (dev);"], [])
    if "WHERE" in index:
        assert findings


def test_an_index_that_was_there_is_named_as_dropped(database: Login, session: Session) -> None:
    """The baseline knows its definition, and the remedy makes it again under its old name."""
    execute(database, *EVENTS, "CREATE INDEX ev_by_dev ON ev (dev, ts)")
    well = take(session, NOW)
    execute(database, "DROP INDEX ev_by_dev")
    _work(database, "SELECT count(*) FROM ev WHERE dev = 5")
    (finding,) = _look(session, baseline=well, scratch=database).findings
    assert finding.cause == "dropped-index"
    assert finding.remedy.sql == "CREATE INDEX CONCURRENTLY ev_by_dev ON public.ev USING btree (dev, ts);"
    assert finding.evidence["lost_index_last_seen"] == "2026-01-01T00:00:00.000Z"
    assert finding.evidence["trial"]["used"]


def test_partitions_are_named_by_their_parent(database: Login, session: Session) -> None:
    """One finding for the partitioned table, and a remedy that it accepts."""
    execute(
        database, *EVENTS[:1],
        "CREATE TABLE parts (id int, dev int) PARTITION BY RANGE (id)",
        "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (150000)",
        "CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (150000) TO (400000)",
        "INSERT INTO parts SELECT i, i % 20000 FROM generate_series(1, 300000) AS i", "ANALYZE",
    )  # fmt: skip
    _work(database, "SELECT count(*) FROM parts WHERE dev = 5")
    (finding,) = _look(session).findings
    assert finding.subject == "public.parts"
    execute(database, finding.remedy.sql or "")
    assert _look(session).findings == ()


def test_without_the_right_to_read_it_says_so(database: Login) -> None:
    """A role that may see the statements but not the tables has no plans, and no good news either."""
    execute(database, *EVENTS, "CREATE ROLE watcher", "GRANT pg_monitor TO watcher")
    try:
        _work(database, "SELECT count(*) FROM ev WHERE dev = 5")
        watcher = replace(database, role="watcher")
        with Session(name="t", login=watcher, application_name="x") as session:
            notes = " ".join(_look(session).notes)
        assert "plans not visible" in notes
        assert "pg_read_all_data" in notes
    finally:
        execute(database, "DROP ROLE watcher")
