"""The changes that `benchmarks/migrations.py` applies, and how each tool wants them written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_COLUMN = "EXISTS (SELECT FROM pg_attribute WHERE attrelid = '{}'::regclass AND attname = '{}')"
_CONSTRAINT = "EXISTS (SELECT FROM pg_constraint WHERE conname = 'pgbench_accounts_abalance_check'{})"
_SMALL = (
    (
        "Table {0}", "CREATE TABLE {0} (id bigint PRIMARY KEY, name text NOT NULL);", "DROP TABLE {0};",
        "to_regclass('{0}') IS NOT NULL",
    ),
    (
        "Size of {0}", "ALTER TABLE {0} ADD COLUMN size integer;", "ALTER TABLE {0} DROP COLUMN size;",
        _COLUMN.format("{0}", "size"),
    ),
    (
        "Index of {0}", "CREATE INDEX {0}_name_idx ON {0} (name);", "DROP INDEX {0}_name_idx;",
        "to_regclass('{0}_name_idx') IS NOT NULL",
    ),
    (
        "Comment on {0}", "COMMENT ON TABLE {0} IS 'Things of one kind.';", "COMMENT ON TABLE {0} IS NULL;",
        "obj_description('{0}'::regclass) IS NOT NULL",
    ),
    (
        "First row of {0}", "INSERT INTO {0} (id, name, size) VALUES (0, 'none', 0);", "DELETE FROM {0} WHERE id = 0;",
        "EXISTS (SELECT FROM {0})",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One migration. `proof` is a condition that is true in a database which has had it."""

    number: int
    title: str
    up: str
    down: str
    proof: str
    transaction: bool = True

    @property
    def version(self) -> str:
        return f"{_FIRST + timedelta(minutes=self.number):%Y%m%d%H%M}"

    @property
    def stem(self) -> str:
        return f"{self.version}_{self.title.lower().replace(' ', '_')}"


HOT = (
    Change(
        number=1, title="Notes on accounts",
        up="ALTER TABLE pgbench_accounts ADD COLUMN note text;",
        down="ALTER TABLE pgbench_accounts DROP COLUMN note;",
        proof=_COLUMN.format("pgbench_accounts", "note"),
    ),
    Change(
        number=2, title="Region of tellers",
        up="ALTER TABLE pgbench_tellers ADD COLUMN region text NOT NULL DEFAULT 'north';",
        down="ALTER TABLE pgbench_tellers DROP COLUMN region;",
        proof=_COLUMN.format("pgbench_tellers", "region"),
    ),
    Change(
        number=3, title="Balances have a floor",
        up="ALTER TABLE pgbench_accounts ADD CONSTRAINT pgbench_accounts_abalance_check"
        " CHECK (abalance > -2000000000) NOT VALID;",
        down="ALTER TABLE pgbench_accounts DROP CONSTRAINT pgbench_accounts_abalance_check;",
        proof=_CONSTRAINT.format(""),
    ),
    Change(
        number=4, title="The floor holds for all",
        up="ALTER TABLE pgbench_accounts VALIDATE CONSTRAINT pgbench_accounts_abalance_check;",
        down="ALTER TABLE pgbench_accounts DROP CONSTRAINT pgbench_accounts_abalance_check;"
        " ALTER TABLE pgbench_accounts ADD CONSTRAINT pgbench_accounts_abalance_check"
        " CHECK (abalance > -2000000000) NOT VALID;",
        proof=_CONSTRAINT.format(" AND convalidated"),
    ),
    Change(
        number=5, title="Accounts by branch",
        up="CREATE INDEX CONCURRENTLY pgbench_accounts_bid_idx ON pgbench_accounts (bid);",
        down="DROP INDEX CONCURRENTLY pgbench_accounts_bid_idx;",
        proof="EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('pgbench_accounts_bid_idx') AND indisvalid)",
        transaction=False,
    ),
    Change(
        number=6, title="Branches begin at nothing",
        up="ALTER TABLE pgbench_branches ALTER COLUMN bbalance SET DEFAULT 0;"
        " COMMENT ON COLUMN pgbench_branches.bbalance IS 'The sum of its accounts.';",
        down="ALTER TABLE pgbench_branches ALTER COLUMN bbalance DROP DEFAULT;"
        " COMMENT ON COLUMN pgbench_branches.bbalance IS NULL;",
        proof="col_description('pgbench_branches'::regclass, 2) IS NOT NULL",
    ),
)  # fmt: skip
"""Six changes of tables that pgbench writes all the time; none of them rewrites or scans under an exclusive lock."""


def small(count: int) -> tuple[Change, ...]:
    """As many small ones: every table that is made has its column, its index, its comment and its row."""
    return tuple(_small(number) for number in range(count))


def _small(number: int) -> Change:
    title, up, down, proof = (text.format(f"item_{number // 5}") for text in _SMALL[number % 5])
    return Change(number=number, title=title, up=up, down=down, proof=proof)


def proven(changes: Sequence[Change]) -> str:
    """A query for the number of changes that a database has had. Asked where all tables are there."""
    return "SELECT " + " + ".join(f"({change.proof})::int" for change in changes)


def plain(folder: Path, changes: Sequence[Change]) -> None:
    """What `psql -f` takes, with the way back beside it: the form of the handbook."""
    for change in changes:
        head = f"-- Migration: {change.title}\n-- Author: Benchmark\n-- Date: 2026-01-01\n\n"
        for end, text in ((".sql", change.up), (".revert.sql", change.down)):
            body = f"BEGIN;\n{text}\nCOMMIT;\n" if change.transaction else f"{text}\n"
            (folder / f"{change.stem}{end}").write_text(head + body)


def for_alembic(folder: Path, changes: Sequence[Change]) -> None:
    """Revisions that send the same text; the environment is its template's, without what is not used."""
    (folder / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s\npath_separator = os\n")
    (folder / "env.py").write_text(_ALEMBIC_ENVIRONMENT)
    (folder / "versions").mkdir()
    before = None
    for change in changes:
        lines = ["from alembic import op", f"revision = {change.version!r}", f"down_revision = {before!r}"]
        lines += [*_function("upgrade", change.up, change), *_function("downgrade", change.down, change)]
        (folder / "versions" / f"{change.stem}.py").write_text("\n".join([*lines, ""]))
        before = change.version


def _function(name: str, text: str, change: Change) -> Iterator[str]:
    yield f"def {name}():"
    if change.transaction:
        yield f"    op.execute({text!r})"
    else:
        yield "    with op.get_context().autocommit_block():"
        yield f"        op.execute({text!r})"


def for_yoyo(folder: Path, changes: Sequence[Change]) -> None:
    """Its files in plain SQL."""
    for change in changes:
        (folder / f"{change.stem}.sql").write_text(f"{change.up}\n")
        (folder / f"{change.stem}.rollback.sql").write_text(f"{change.down}\n")


def for_dbmate(folder: Path, changes: Sequence[Change]) -> None:
    """Both ways in one file."""
    for change in changes:
        how = "" if change.transaction else " transaction:false"
        text = f"-- migrate:up{how}\n{change.up}\n\n-- migrate:down{how}\n{change.down}\n"
        (folder / f"{change.stem}.sql").write_text(text)


_ALEMBIC_ENVIRONMENT = """\
import os

from alembic import context
from sqlalchemy import create_engine

with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    context.configure(connection=connection, transaction_per_migration="EACH" in os.environ)
    with context.begin_transaction():
        context.run_migrations()
"""
