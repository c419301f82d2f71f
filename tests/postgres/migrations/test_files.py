"""Folders of migrations: told apart by what lies in them, read as their tools read them, refused in one line."""

from pathlib import Path

import pytest

from ops_lib.model.errors import BadInput
from ops_lib.model.migration import Layout
from ops_lib.postgres.migrations import files
from ops_lib.postgres.migrations.layouts import flyway
from ops_lib.postgres.migrations.script import parts
from tests.postgres.migrations.change import NO_REVERT
from tests.postgres.migrations.histories import write

UP, DOWN = "-- migrate:up\nSELECT 1;\n", "-- migrate:down\nSELECT 2;\n"


def lay(folder: Path, **texts: str) -> Path:
    """Writes files by their names."""
    for name, text in texts.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("layout", list(Layout))
def test_each_layout_is_known_by_its_files(layout: Layout, tmp_path: Path) -> None:
    """All migrations in their order, each with its way back where it has one, and all of it SQL."""
    expected = write(layout, tmp_path)
    folder = files.read(tmp_path)
    assert folder.layout is layout
    assert [each.name for each in folder.migrations] == [each.name for each in expected]
    assert [each.down is None for each in folder.migrations] == [each.verdict == NO_REVERT for each in expected]
    assert all(parts(script) for each in folder.migrations for script in (each.up, each.down) if script)


@pytest.mark.parametrize("layout", [each for each in Layout if each is not Layout.ALEMBIC])
def test_lines_are_those_of_the_file(layout: Layout, tmp_path: Path) -> None:
    """Both ways: what the parser finds on a line stands on that line."""
    write(layout, tmp_path)
    for migration in files.read(tmp_path).migrations:
        for script in filter(None, (migration.up, migration.down)):
            lines = script.file.read_text(encoding="utf-8").splitlines()
            for statement in (each for part in parts(script) for each in part.statements):
                assert lines[statement.line - 1].startswith(statement.text.splitlines()[0])


def test_a_handbook_header_is_read(tmp_path: Path) -> None:
    """Known keys in any case, unknown ones as comments, up to the first statement."""
    text = (
        "-- Migration: Gusts\n-- author: DevOps\n\n-- Date: 2025-01-15\n-- BREAKING: yes\n-- See also: nothing\n"
        "-- Affects: raw.a, mart.b\n-- notify: etl,\n-- Transaction: no\nSELECT 1;\n-- Author: not any more\n"
    )
    (migration,) = files.read(lay(tmp_path, **{"202501150900_add.sql": text})).migrations
    header = migration.header
    assert (header.title, header.author, header.date) == ("Gusts", "DevOps", "2025-01-15")
    assert (header.breaking, header.affects, header.notify) == (True, ("raw.a", "mart.b"), ("etl",))
    assert not migration.up.transaction


def test_a_folder_that_holds_migrations_has_functions_and_views(tmp_path: Path) -> None:
    """Numbers of 12 and 14 digits in one order, then what is repeated; the inner folder alone has the numbers only."""
    lay(
        tmp_path,
        **{
            "migrations/20240101000030_second.sql": "SELECT 1;",
            "migrations/202401010000_first.sql": "SELECT 1;",
            "migrations/202401010000_first.revert.sql": "SELECT 1;",
            "migrations/202401010000_first.verify.sql": "SELECT 1;",
            "migrations/202401010001_third.sql": "SELECT 1;",
            "migrations/README.md": "words",
            "migrations/.hidden.sql": "nonsense",
            "views/b.sql": "SELECT 1;",
            "functions/a.sql": "SELECT 1;",
        },
    )
    versions = [each.version for each in files.read(tmp_path).migrations]
    assert versions == ["202401010000", "20240101000030", "202401010001", "functions/a", "views/b"]
    assert [each.version for each in files.read(tmp_path / "migrations").migrations] == versions[:3]
    first = files.read(tmp_path).migrations[0]
    assert first.down is not None
    assert first.verify is not None


def test_diesel_orders_by_versions_without_dashes(tmp_path: Path) -> None:
    """A folder of the older form stands among those of the newer one."""
    names = ["2024-02-01-000000_b", "20240101000000_a", "20240301000000_c"]
    lay(tmp_path, **{f"{name}/up.sql": "SELECT 1;" for name in names})
    assert [each.version for each in files.read(tmp_path).migrations] == [
        "20240101000000",
        "20240201000000",
        "20240301000000",
    ]


def test_flyway_orders_by_numbers(tmp_path: Path) -> None:
    """1.10 comes after 1.9 and _ is a dot; an undo file belongs to an equal version, repeated ones come last."""
    names = ["V1.10__d", "V1_9__c", "V1.2__a", "sub/V01.3__b", "U1.2.0__a", "R__view of_all"]
    folder = files.read(lay(tmp_path, **{f"{name}.sql": "SELECT 1;" for name in names}))
    assert [each.version for each in folder.migrations] == ["1.2", "01.3", "1.9", "1.10", "R__view of all"]
    assert folder.migrations[0].down is not None
    assert folder.migrations[-1].repeated


def test_flyway_checksums_are_those_of_flyway() -> None:
    """The signed CRC32 of the lines without their ends, whatever the ends are; known values of CRC32."""
    assert flyway.checksum("123456789") == 0xCBF43926 - (1 << 32)
    assert flyway.checksum("1234\r\n567\n89\n") == flyway.checksum("123456789")


def test_alembic_branches_and_merges_come_in_its_own_order(tmp_path: Path) -> None:
    """What autocommits is no transaction, a downgrade that raises is no way back, the ones below it are kept."""
    write(Layout.ALEMBIC, tmp_path, [])
    versions = tmp_path / "revisions/versions"
    text = (
        "from alembic import op\nrevision = {!r}\ndown_revision = {!r}\n\n\n"
        "def upgrade():\n    {}\n\n\ndef downgrade():\n    {}\n"
    )
    alone = (
        "op.execute('CREATE TABLE d ()')\n    with op.get_context().autocommit_block():\n"
        "        op.execute('CREATE INDEX CONCURRENTLY i ON a (a)')"
    )
    for revision, before, up, down in [
        ("a", None, "op.execute('CREATE TABLE a (a int)')", "op.execute('DROP TABLE a')"),
        ("b", "a", "op.execute('CREATE TABLE b ()')", "op.execute('DROP TABLE b')"),
        ("c", "a", "op.execute('CREATE TABLE c ()')", "op.execute('DROP TABLE c')"),
        ("d", ("b", "c"), alone, "op.execute('DROP TABLE d')"),
        ("e", "d", "pass", "raise NotImplementedError"),
    ]:
        (versions / f"{revision}_x.py").write_text(text.format(revision, before, up, down))
    migrations = {each.version: each for each in files.read(tmp_path).migrations}
    assert set(migrations) == {*"abcde"}
    assert next(iter(migrations)) == "a"
    assert list(migrations)[-2:] == ["d", "e"]
    assert [part.alone for part in parts(migrations["d"].up)] == [False, True]
    assert migrations["e"].down is None
    assert migrations["b"].down is not None
    assert migrations["b"].down.text == "DROP TABLE b;\n"
    assert migrations["a"].up.first_line == 6


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({}, "holds no migrations"),
        ({"README.md": "words"}, "holds no migrations"),
        ({"202401010000_a.sql": "SELECT 1;", "202401010001_b.sql": UP + DOWN}, "more than one layout: plain .*dbmate"),
        ({"202401010000_a.sql": "SELECT 1;", "202401010000_b.sql": "SELECT 1;"}, "two .* the version 202401010000"),
        ({"2024_add.sql": "SELECT 1;"}, "2024_add.sql is not named"),
        ({"202401010000_a.undo.sql": "SELECT 1;"}, "a.undo.sql is not named"),
        ({"202401010000_a.revert.sql": "SELECT 1;"}, "a.revert.sql belongs to no migration"),
        ({"202401010000_a.sql": "\n-- Breaking: perhaps\n"}, "a.sql, line 2: Breaking is yes or no, not 'perhaps'"),
        ({"a_1/up.sql": "SELECT 1;", "b_1/down.sql": "SELECT 1;"}, "b_1 holds no up.sql"),
        ({"1_a/up.sql": "SELECT 1;", "1_a/metadata.toml": "run_in_transaction = 'no'"}, "is true or false, not 'no'"),
        ({"1_a/up.sql": "SELECT 1;", "1_a/metadata.toml": "nonsense"}, "metadata.toml is not TOML"),
        ({"1_a.sql": "SELECT 0;\n" + UP + DOWN}, "1_a.sql, line 2: something stands before `-- migrate:up`"),
        ({"1_a.sql": DOWN + UP}, "1_a.sql, line 1: something stands before"),
        ({"1_a.sql": DOWN}, "1_a.sql has no line `-- migrate:up`"),
        ({"a.sql": UP + DOWN}, "a.sql is not named VERSION_name.sql"),
        ({"1_a.sql": "-- +goose Up\n", "01_b.sql": "-- +goose Up\n"}, "two migrations have the version 1"),
        ({"1_a.sql": "-- +goose Up\n", "2_b.go": "package x"}, "2_b.go is a migration in Go"),
        ({"1_a.sql": "-- +goose Down\n"}, "1_a.sql has no line `-- \\+goose Up`"),
        ({"0_a.sql": "-- +goose Up\n"}, "0_a.sql is not named VERSION_name.sql"),
        ({"1_a.sql": "-- +goose Up\n-- +goose ENVSUBST ON\n"}, "1_a.sql, line 2: environment variables"),
        ({"V1__a.sql": "SELECT 1;", "V1_0__b.sql": "SELECT 1;"}, "two migrations have the version 1"),
        ({"V1__a.sql": "SELECT\n '${x}';"}, r"V1__a.sql, line 2: the placeholder \$\{x\} is not put in"),
        ({"V1__a.sql": "SELECT 1;", "U2__a.sql": "SELECT 1;"}, "U2__a.sql undoes no migration"),
        ({"V1__a.sql": "SELECT 1;", "B2__a.sql": "SELECT 1;"}, "B2__a.sql is a baseline migration"),
        ({"V1__a.sql": "SELECT 1;", "x/afterMigrate.sql": "SELECT 1;"}, "afterMigrate.sql is not named"),
        ({"V1__a.sql": "SELECT 1;", "V1__a.sql.conf": "shouldExecute=${x}"}, "shouldExecute is not understood"),
        ({"alembic.ini": "[alembic]\nscript_location = nowhere\n"}, "alembic cannot write its SQL"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, texts: dict[str, str], message: str) -> None:
    """One line that names the file, and its line where there is one."""
    lay(tmp_path, **texts)
    with pytest.raises(BadInput, match=message) as raised:
        files.read(tmp_path)
    assert "\n" not in str(raised.value)


def test_flyway_settings_of_a_file_are_kept(tmp_path: Path) -> None:
    """Placeholders that are switched off are text, and a script that is not to be one transaction is none."""
    lay(tmp_path, **{"V1__a.sql": "SELECT '${x}';", "V1__a.sql.conf": "executeInTransaction = false\n"})
    lay(tmp_path, **{"V2__b.sql": "SELECT '${x}';", "V2__b.sql.conf": "placeholderReplacement=false\n"})
    lay(tmp_path, **{"V1__a.sql": "SELECT 1;"})
    first, second = files.read(tmp_path).migrations
    assert (first.up.transaction, second.up.transaction) == (False, True)


def test_what_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    """The file and the byte are named."""
    (tmp_path / "202401010000_a.sql").write_bytes(b"SELECT '\xe9';")
    with pytest.raises(BadInput, match=r"a.sql is not UTF-8: .* at byte 8"):
        files.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "line", "transaction"),
    [
        ("anything.sql", "-- Transaction: no\nSELECT 1;\nSELECT 2;\n", 1, False),
        ("1_a.sql", f"-- a word\n{UP}{DOWN}", 2, True),
        ("1_b.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;\n", 2, False),
        ("V1__a.sql", "SELECT 1;", 1, True),
        ("x/up.sql", "SELECT 1;", 1, True),
    ],
)
def test_one_file_is_read_by_itself(tmp_path: Path, name: str, text: str, line: int, transaction: bool) -> None:
    """As its layout has it, the way up alone; under any name where it has none."""
    lay(tmp_path, **{name: text})
    script = files.script(tmp_path / name)
    assert (script.first_line, script.transaction) == (line, transaction)
    assert len(parts(script)) == (2 if name == "anything.sql" else 1)
    with pytest.raises(BadInput, match="is not a file"):
        files.script(tmp_path / "missing.sql")
