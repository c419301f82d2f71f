"""Restoring: a dump into a database of a server, or the files of a cluster into a data folder.

These are the same acts in a drill and in an emergency. A dump is code that runs as a superuser: whether it is
trusted is decided before anything here is called.
"""

import json
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from ops_lib.model.advance import Advance
from ops_lib.model.backup import Source
from ops_lib.model.errors import OpsError, Refused
from ops_lib.model.target import Login
from ops_lib.postgres.backups.logical import Tell
from ops_lib.postgres.backups.programs import Programs

_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin", "d": "builtin"}


def restore_roles(programs: Programs, folder: Path, into: Login, scratch: Path) -> None:
    """Make the roles of a dump; one that exists is an error, but for who makes them. `scratch` is a new file."""
    own = sql.Identifier(into.keywords["user"]).as_string(None)
    made = re.compile(rf"CREATE ROLE ({re.escape(own)}|{re.escape(own.strip(chr(34)))});\n?")
    lines = (folder / "roles.sql").read_text(encoding="utf-8").splitlines(keepends=True)
    scratch.write_text("".join(line for line in lines if not made.fullmatch(line)), encoding="utf-8")
    programs.call("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={scratch}", login=into)


def make_database(session: psycopg.Connection, source: Source) -> str | None:
    """Make an empty database like the one that was saved, or say what about it could not be the same.

    What a new cluster has under its name, such as `postgres`, goes first.
    """
    name = sql.Identifier(source.database)
    make = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ").format(name)
    session.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(name))
    try:
        session.execute(make + _like(source))
    except psycopg.Error as error:
        encoding = source.creation.get("encoding") or "UTF8"
        session.execute(make + sql.SQL("ENCODING {} LOCALE 'C'").format(sql.Literal(encoding)))
        return f"restored with the locale C, since {str(error).splitlines()[0]}"
    return None


def _like(source: Source) -> sql.Composed:
    made = source.creation
    options = {"ENCODING": made.get("encoding"), "LC_COLLATE": made.get("collate"), "LC_CTYPE": made.get("ctype")}
    provider = _PROVIDERS[made.get("provider") or "c"]
    if provider != "libc":
        options["LOCALE_PROVIDER"] = provider
        options["ICU_LOCALE" if provider == "icu" else "BUILTIN_LOCALE"] = made.get("locale")
    known = [(name, value) for name, value in options.items() if value]
    return sql.SQL(" ").join(sql.SQL(name) + sql.SQL(" = {}").format(sql.Literal(value)) for name, value in known)


def missing_extensions(session: psycopg.Connection, source: Source) -> list[str]:
    """The extensions of the saved database that this server cannot make."""
    rows = session.execute("SELECT name FROM pg_available_extensions").fetchall()
    return sorted(set(source.extensions) - {row[0] for row in rows})


def restore_database(programs: Programs, folder: Path, into: Login, *, jobs: int, tell: Tell) -> None:
    """Fill an empty database from a dump, in parallel."""
    began, done = time.monotonic(), 0
    sizes = {path.name.split(".")[0]: path.stat().st_size for path in (folder / "dump").iterdir()}
    total = sum(sizes.values())

    def on_line(line: str) -> None:
        nonlocal done
        if line.startswith("pg_restore: finished item "):
            done += sizes.pop(line.split()[3], 0)
            tell(Advance(phase="restoring", done=done, total=total, seconds=time.monotonic() - began))

    with programs.running(
        "pg_restore", f"--dbname={into.keywords['dbname']}", f"--jobs={jobs}", "--exit-on-error", "--no-tablespaces",
        "--no-password", "--verbose", str(folder / "dump"), login=into, on_line=on_line,
    ):  # fmt: skip
        pass


def restore_files(programs: Programs, chain: Sequence[Path], data: Path) -> None:
    """Bring back the data folder of a cluster from a whole copy and the incremental ones upon it, the oldest first."""
    if len(chain) == 1:
        shutil.copytree(chain[0], data, symlinks=True)
        return
    if programs.major < 17:
        raise Refused(f"PostgreSQL {programs.version} cannot combine incremental backups", hint="install 17 or newer")
    programs.call("pg_combinebackup", "--no-sync", f"--output={data}", *map(str, chain))


def verify_files(programs: Programs, data: Path, *, wal: bool = True) -> None:
    """PostgreSQL's own check of a copy against its own manifest, its WAL included; OpsError says what is wrong."""
    programs.call("pg_verifybackup", "--exit-on-error", "--quiet", *([] if wal else ["--no-parse-wal"]), str(data))


def version_of(data: Path) -> int:
    """The major version whose files these are."""
    try:
        return int((data / "PG_VERSION").read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        raise OpsError(f"{data} is not the data folder of a cluster") from None


def cluster_of(own_manifest: Path) -> str | None:
    """Of which cluster PostgreSQL's own manifest says that the files are; told from version 17 on."""
    told = json.loads(own_manifest.read_text(encoding="utf-8")).get("System-Identifier")
    return str(told) if told is not None else None
