"""Writes one history in the files of each layout: `write(layout, folder)` says what an audit of them is to find."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops_lib.model.migration import Layout
from tests.postgres.migrations.change import Change
from tests.postgres.migrations.changes import CHANGES

_HEADER = "-- Migration: {title}\n-- Author: Tests\n-- Date: 2024-01-01\n-- Transaction: {transaction}\n\n"
_INI = """[alembic]
script_location = %(here)s/revisions
"""
_ENVIRONMENT = """import os

from alembic import context
from sqlalchemy import create_engine

if context.is_offline_mode():
    context.configure(dialect_name="postgresql", literal_binds=True, dialect_opts={"paramstyle": "named"})
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
"""
_REVISION = '''"""{title}"""

from alembic import op

revision = {revision!r}
down_revision = {before!r}


def upgrade():
{up}


def downgrade():
{down}
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is said of one migration, by the name that people call it by."""

    name: str
    verdict: str


def write(layout: Layout, folder: Path, changes: Sequence[Change] = CHANGES) -> list[Expected]:
    """Fills a folder, which is made where it is missing; the order of the answer is that of the history."""
    folder.mkdir(parents=True, exist_ok=True)
    if layout is Layout.ALEMBIC:
        (folder / "revisions/versions").mkdir(parents=True)
        (folder / "revisions/env.py").write_text(_ENVIRONMENT)
        (folder / "alembic.ini").write_text(_INI)
    writer = _WRITERS[layout]
    numbered = enumerate(changes, start=1)
    return [Expected(name=writer(folder, number, change), verdict=change.verdict) for number, change in numbered]


def _plain(folder: Path, number: int, change: Change) -> str:
    stem = f"202401{1 + number // 24:02d}{number % 24:02d}00_{change.name}"
    header = _HEADER.format(title=change.name, transaction="yes" if change.transaction else "no")
    (folder / f"{stem}.sql").write_text(header + _sql(change.up, bracketed=change.transaction))
    if change.down:
        (folder / f"{stem}.revert.sql").write_text(header + _sql(change.down))
    if change.verify:
        (folder / f"{stem}.verify.sql").write_text(f"{change.verify};\n")
    return f"{stem}.sql"


def _diesel(folder: Path, number: int, change: Change) -> str:
    own = folder / f"2024-01-01-{number:06d}_{change.name}"
    own.mkdir()
    (own / "up.sql").write_text(_sql(change.up))
    if change.down:
        (own / "down.sql").write_text(_sql(change.down))
    if not change.transaction:
        (own / "metadata.toml").write_text("run_in_transaction = false\n")
    return own.name


def _dbmate(folder: Path, number: int, change: Change) -> str:
    name = f"20240101{number:06d}_{change.name}.sql"
    option = "" if change.transaction else " transaction:false"
    up, down = (_sql(statements) for statements in (change.up, change.down))
    (folder / name).write_text(f"-- migrate:up{option}\n{up}\n-- migrate:down{option}\n{down}")
    return name


def _goose(folder: Path, number: int, change: Change) -> str:
    name = f"{number:05d}_{change.name}.sql"
    option = "" if change.transaction else "-- +goose NO TRANSACTION\n"
    up, down = (
        "".join(f"-- +goose StatementBegin\n{each};\n-- +goose StatementEnd\n" for each in statements)
        for statements in (change.up, change.down)
    )
    (folder / name).write_text(f"{option}-- +goose Up\n{up}" + (f"\n-- +goose Down\n{down}" if down else ""))
    return name


def _flyway(folder: Path, number: int, change: Change) -> str:
    own = folder / "more" if number % 10 == 0 else folder
    own.mkdir(exist_ok=True)
    name = f"V1.{number}__{change.name}.sql"
    (own / name).write_text(_sql(change.up))
    if change.down:
        (own / f"U1_{number}__{change.name}.sql").write_text(_sql(change.down))
    if not change.transaction:
        (own / f"{name}.conf").write_text("executeInTransaction=false\n")
    return name


def _alembic(folder: Path, number: int, change: Change) -> str:
    name = f"r{number:03d}_{change.name}.py"
    before = f"r{number - 1:03d}" if number > 1 else None
    up, down = (_python(statements) for statements in (change.up, change.down))
    text = _REVISION.format(title=change.name, revision=name[:4], before=before, up=up, down=down)
    (folder / "revisions/versions" / name).write_text(text)
    return name


def _sql(statements: Sequence[str], *, bracketed: bool = False) -> str:
    text = "".join(f"{statement};\n" for statement in statements)
    return f"BEGIN;\n{text}COMMIT;\n" if bracketed else text


def _python(statements: Sequence[str]) -> str:
    lines = [_operation(statement) for statement in statements]
    return "\n".join(lines) or "    pass"


def _operation(statement: str) -> str:
    if "CONCURRENTLY" not in statement:
        return f"    op.execute({statement!r})"
    return f"    with op.get_context().autocommit_block():\n        op.execute({statement!r})"


_WRITERS: dict[Layout, Callable[[Path, int, Change], str]] = {
    Layout.PLAIN: _plain,
    Layout.DIESEL: _diesel,
    Layout.DBMATE: _dbmate,
    Layout.GOOSE: _goose,
    Layout.FLYWAY: _flyway,
    Layout.ALEMBIC: _alembic,
}
