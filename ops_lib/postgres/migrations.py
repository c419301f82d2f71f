"""Migrations: what a folder of SQL files asks for, what a database has had, and how the difference is applied.

    migrations/YYYYMMDDHHMM_description.sql   once, in the order of their numbers
    functions/*.sql  views/*.sql              after them and whenever they changed, by their names

Each file runs in one transaction together with its row in `ops.schema_migrations`, so that a database never has the
one without the other. The BEGIN and COMMIT that the file holds for psql are part of that transaction.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ops_lib.model.errors import BadInput, Refused
from ops_lib.postgres.sql_file import Connection, Statement, located, statements

_NAME = re.compile(r"(\d{12})_([a-z0-9_]+)")
_REPEATED = ("functions", "views")
_RECORD = """
    INSERT INTO ops.schema_migrations (version, description, sha256, seconds)
    VALUES (%(version)s, %(description)s, %(sha256)s, %(seconds)s)
    ON CONFLICT (version) DO UPDATE
    SET sha256 = excluded.sha256, applied_at = now(), applied_by = session_user, seconds = excluded.seconds
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file as it is on disk. `repeated` says that it runs again whenever it changed."""

    version: str
    description: str
    file: Path
    text: str
    repeated: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def read(folder: Path) -> list[Migration]:
    """All files of a folder such as `db/`, in the order in which they are applied."""
    numbered = [_numbered(file) for file in sorted((folder / "migrations").glob("*.sql"))]
    versions = [migration.version for migration in numbered]
    if twice := {version for version in versions if versions.count(version) > 1}:
        raise BadInput(f"two migrations have the number {min(twice)}", hint="give one of them a later minute")
    return numbered + [_repeated(file) for kind in _REPEATED for file in sorted((folder / kind).glob("*.sql"))]


def applied(connection: Connection) -> dict[str, str]:
    """The digest of every version that a database has had; empty where it has no history yet."""
    if connection.execute("SELECT to_regclass('ops.schema_migrations')").fetchone() == (None,):
        return {}
    return dict(connection.execute("SELECT version, sha256 FROM ops.schema_migrations").fetchall())


def pending(migrations: Iterable[Migration], history: Mapping[str, str]) -> list[Migration]:
    """What a database still needs. A numbered file that changed after it was applied is refused.

    >>> new = Migration(version="202501010000", description="x", file=Path("x"), text="", repeated=False)
    >>> [m.version for m in pending([new], {})], pending([new], {"202501010000": new.sha256})
    (['202501010000'], [])
    """
    due = [migration for migration in migrations if history.get(migration.version) != migration.sha256]
    for migration in due:
        if migration.version in history and not migration.repeated:
            hint = "put it back as it was, and write the change as a new migration"
            raise Refused(f"{migration.file} was changed after it was applied", hint=hint)
    return due


def apply(connection: Connection, migration: Migration) -> float:
    """Applies one migration and records it in the same transaction; how many seconds it took."""
    began = time.monotonic()
    with connection.transaction():
        for statement in body(migration):
            with located(migration.file, statement.text, statement.line):
                connection.execute(statement.text.encode())
        seconds = time.monotonic() - began
        row = {"version": migration.version, "description": migration.description, "sha256": migration.sha256}
        connection.execute(_RECORD, row | {"seconds": round(seconds, 3)})
    return seconds


def apply_pending(connection: Connection, folder: Path, progress: Callable[[str], None]) -> list[Migration]:
    """Applies all that a folder holds and the database has not had; stops at the first error."""
    due = pending(read(folder), applied(connection))
    for migration in due:
        progress(f"applying {migration.version} {migration.description}")
        apply(connection, migration)
    return due


def body(migration: Migration) -> list[Statement]:
    """The statements of a migration without its own BEGIN and COMMIT.

    What cannot be part of one transaction is refused, since it could be left half done.
    """
    kept = []
    for statement in statements(migration.text, str(migration.file)):
        kind = type(statement.node).__name__
        if kind == "TransactionStmt" and statement.node.kind.name in {"TRANS_STMT_BEGIN", "TRANS_STMT_COMMIT"}:
            continue
        if kind in {"TransactionStmt", "VacuumStmt"} or getattr(statement.node, "concurrent", False):
            what = f"{migration.file}, line {statement.line}: this cannot be part of one transaction"
            raise BadInput(what, hint="a migration is applied as a whole or not at all; do this step by itself")
        kept.append(statement)
    return kept


def _numbered(file: Path) -> Migration:
    match = _NAME.fullmatch(file.stem)
    if match is None:
        raise BadInput(f"{file} is not named YYYYMMDDHHMM_description.sql", hint="letters, digits and _ only")
    text = file.read_text(encoding="utf-8")
    return Migration(version=match[1], description=match[2].replace("_", " "), file=file, text=text, repeated=False)


def _repeated(file: Path) -> Migration:
    version = f"{file.parent.name}/{file.stem}"
    return Migration(
        version=version, description=version, file=file, text=file.read_text(encoding="utf-8"), repeated=True
    )
