"""Where the space is."""

from ops_lib.model.target import Login
from ops_lib.postgres.checks import CHECKS, Evidence
from ops_lib.postgres.session import Session
from tests.postgres.conftest import NOW, execute


def test_the_largest_table_comes_first(database: Login, session: Session) -> None:
    """It is a table to read; nothing is judged."""
    execute(
        database,
        "CREATE TABLE little AS SELECT 1 AS id",
        "CREATE TABLE large AS SELECT i AS id FROM generate_series(1, 20000) AS i",
        "VACUUM large",
    )
    result = CHECKS["sizes"].look(Evidence(session=session, now=NOW))
    assert result.findings == ()
    assert result.table is not None
    assert result.table.rows[0][0] == "public.large"


def test_an_empty_database(session: Session) -> None:
    """There is nothing to show, and that is said."""
    assert CHECKS["sizes"].look(Evidence(session=session, now=NOW)).verdict == "There is no table in this database."
