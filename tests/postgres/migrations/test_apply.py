"""What is pending: applied with its row of history in one transaction, or not at all."""

from pathlib import Path

import psycopg
import pytest

from ops_lib.model.errors import BadInput, OpsError, Refused
from ops_lib.model.target import Login
from ops_lib.postgres.migrations import files
from ops_lib.postgres.migrations.apply import apply_pending
from ops_lib.postgres.migrations.histories import history_of

DB = Path(__file__).parents[3] / "db"
HISTORY = (DB / "migrations/202409010900_create_schemas.sql").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the migration that makes the history, and nothing else yet."""
    (tmp_path / "migrations").mkdir()
    write(tmp_path, "migrations/202401010000_create_history.sql", HISTORY)
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def session(login: Login) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(**login.keywords, password=login.password, autocommit=True)


def apply(login: Login, folder: Path) -> list[str]:
    with session(login) as opened:
        return [each.version for each in apply_pending(opened, folder, lambda message: None)]


def test_files_are_applied_once_and_in_order(folder: Path, database: Login) -> None:
    """Numbers first, then functions, then views; a second time there is nothing to do."""
    write(folder, "views/both.sql", "CREATE OR REPLACE VIEW mart.both AS SELECT mart.one() AS one FROM raw.a;")
    write(folder, "functions/one.sql", "CREATE OR REPLACE FUNCTION mart.one() RETURNS int RETURN 1;")
    write(folder, "migrations/202402010000_later.sql", "BEGIN; ALTER TABLE raw.a ADD COLUMN n int; COMMIT;")
    write(folder, "migrations/202401020000_earlier.sql", "CREATE TABLE raw.a (id int);")
    expected = ["202401010000", "202401020000", "202402010000", "functions/one", "views/both"]
    assert apply(database, folder) == expected
    assert apply(database, folder) == []
    with session(database) as opened:
        assert sorted(history_of(files.read(folder)).applied(opened)) == expected


def test_a_function_that_changed_is_applied_again(folder: Path, database: Login) -> None:
    """What replaces itself follows its file."""
    write(folder, "functions/one.sql", "CREATE OR REPLACE FUNCTION mart.one() RETURNS int RETURN 1;")
    apply(database, folder)
    write(folder, "functions/one.sql", "CREATE OR REPLACE FUNCTION mart.one() RETURNS int RETURN 2;")
    assert apply(database, folder) == ["functions/one"]
    with session(database) as opened:
        assert opened.execute("SELECT mart.one()").fetchone() == (2,)


def test_a_migration_that_changed_is_refused(folder: Path, database: Login) -> None:
    """What ran once cannot be rewritten."""
    apply(database, folder)
    write(folder, "migrations/202401010000_create_history.sql", HISTORY + "\n-- afterthought\n")
    with pytest.raises(Refused, match="was changed after it was applied"):
        apply(database, folder)


def test_an_error_names_file_and_line_and_leaves_nothing(folder: Path, database: Login) -> None:
    """Neither the statements before the error nor a row of history stay; what came before the file does."""
    write(
        folder,
        "migrations/202401020000_broken.sql",
        "BEGIN;\n-- é ;\nCREATE TABLE raw.a (id int);\n\nSELECT 1,\n  nope;\nCOMMIT;",
    )
    with pytest.raises(OpsError, match=r"202401020000_broken.sql, line 6: column \"nope\" does not exist"):
        apply(database, folder)
    with session(database) as opened:
        assert list(history_of(files.read(folder)).applied(opened)) == ["202401010000"]
        assert opened.execute("SELECT to_regclass('raw.a')").fetchone() == (None,)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("BEGIN;\nROLLBACK;", 2),
        ("SELECT 1;\nSELEC 2;", 2),
        ("BEGIN;\nSELECT 1;\nCREATE INDEX CONCURRENTLY i ON raw.a (id);\nCOMMIT;", 3),
    ],
)
def test_what_cannot_be_applied_is_refused_at_once(folder: Path, database: Login, text: str, line: int) -> None:
    """Before anything ran, the files before it included."""
    write(folder, "migrations/202401020000_halves.sql", text)
    with pytest.raises(BadInput, match=f"202401020000_halves.sql, line {line}: "):
        apply(database, folder)
    with session(database) as opened:
        assert opened.execute("SELECT to_regnamespace('ops')").fetchone() == (None,)


def test_what_comes_after_an_error_is_not_applied(folder: Path, database: Login) -> None:
    """Of many that were sent in a row, those before the error stay and none behind it runs; then it goes on."""
    for number in range(10, 40):
        write(folder, f"migrations/2024010200{number}_t.sql", f"CREATE TABLE raw.t{number} (id int);")
    write(folder, "migrations/202401020025_t.sql", "CREATE TABLE raw.t25 ();\n\nCREATE TABLE raw.t24 ();")
    with pytest.raises(OpsError, match=r"202401020025_t.sql, line 3: relation \"t24\" already exists"):
        apply(database, folder)
    with session(database) as opened:
        assert list(history_of(files.read(folder)).applied(opened))[-1] == "202401020024"
        assert opened.execute("SELECT max(relname) FROM pg_class WHERE relname ~ '^t[0-9]'").fetchone() == ("t24",)
    write(folder, "migrations/202401020025_t.sql", "CREATE TABLE raw.t25 ();")
    assert len(apply(database, folder)) == 15


def test_an_error_at_the_commit_names_the_file(folder: Path, database: Login) -> None:
    """A deferred constraint speaks up when all statements are done."""
    key = "CREATE TABLE raw.a (id int PRIMARY KEY, b int REFERENCES raw.a DEFERRABLE INITIALLY DEFERRED);"
    write(folder, "migrations/202401020000_deferred.sql", f"{key}\nINSERT INTO raw.a VALUES (1, 2);")
    with pytest.raises(OpsError, match=r"202401020000_deferred.sql, line 1: .* violates foreign key"):
        apply(database, folder)
    with session(database) as opened:
        assert opened.execute("SELECT to_regclass('raw.a')").fetchone() == (None,)


def test_what_no_transaction_holds_is_done_by_itself(folder: Path, database: Login) -> None:
    """Parts before an error stay; the row of history comes with the last part only."""
    text = "CREATE TABLE raw.a (id int);\nCREATE INDEX CONCURRENTLY i ON raw.a (id);\nSELECT 1 / 0;"
    write(folder, "migrations/202401020000_parts.sql", text)
    with pytest.raises(OpsError, match=r"202401020000_parts.sql, line 3: division by zero"):
        apply(database, folder)
    with session(database) as opened:
        assert opened.execute("SELECT to_regclass('raw.i') IS NOT NULL").fetchone() == (True,)
        assert list(history_of(files.read(folder)).applied(opened)) == ["202401010000"]


def test_a_folder_without_a_history_gets_one(tmp_path: Path, database: Login) -> None:
    """The table is made where no migration makes it, with what it asks of its rows."""
    write(tmp_path, "migrations/202401020000_a.sql", "CREATE TABLE a (id int);")
    assert apply(database, tmp_path) == ["202401020000"]
    with session(database) as opened:
        row = opened.execute("SELECT description, length(sha256), seconds >= 0 FROM ops.schema_migrations").fetchone()
    assert row == ("a", 64, True)
