"""Migrations: applied as a whole with their row of history, or not at all."""

from pathlib import Path

import psycopg
import pytest

from ops_lib.model.errors import BadInput, OpsError, Refused
from ops_lib.model.target import Login
from ops_lib.postgres import migrations

DB = Path(__file__).parents[2] / "db"
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
        return [each.version for each in migrations.apply_pending(opened, folder, lambda message: None)]


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
        assert sorted(migrations.applied(opened)) == expected


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
        assert list(migrations.applied(opened)) == ["202401010000"]
        assert opened.execute("SELECT to_regclass('raw.a')").fetchone() == (None,)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("BEGIN;\nCREATE INDEX CONCURRENTLY i ON raw.a (id);\nCOMMIT;", 2),
        ("\n\nVACUUM raw.a;", 3),
        ("BEGIN;\nROLLBACK;", 2),
        ("SELECT 1;\nSELEC 2;", 2),
    ],
)
def test_what_cannot_be_applied_as_a_whole_is_refused(folder: Path, database: Login, text: str, line: int) -> None:
    """Refused before its first statement ran, with file and line."""
    write(folder, "migrations/202401020000_halves.sql", text)
    with pytest.raises(BadInput, match=f"202401020000_halves.sql, line {line}: "):
        apply(database, folder)


def test_names_are_checked(folder: Path) -> None:
    """A number that is not twelve digits, and a number that is given twice."""
    write(folder, "migrations/2024_add.sql", "SELECT 1;")
    with pytest.raises(BadInput, match="is not named"):
        migrations.read(folder)
    (folder / "migrations/2024_add.sql").unlink()
    write(folder, "migrations/202401010000_again.sql", "SELECT 1;")
    with pytest.raises(BadInput, match="two migrations have the number 202401010000"):
        migrations.read(folder)
