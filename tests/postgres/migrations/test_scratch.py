"""Scratch: a place where whatever migrations do touches nothing real, and of which nothing stays."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ops_lib.model.errors import Refused
from ops_lib.model.migration import Script
from ops_lib.model.target import Login
from ops_lib.postgres import processes
from ops_lib.postgres.migrations.reach import extensions, loses_rows, made_roles, reach
from ops_lib.postgres.migrations.scratch import Scratch, lacks, require_extensions, scratch
from ops_lib.postgres.server import EmbeddedServer
from tests.conftest import open_session
from tests.postgres.conftest import execute

ROOT = Path(__file__).parents[3]


def script(text: str) -> Script:
    return Script(file=Path("a.sql"), text=text)


def answer(login: Login, query: str) -> object:
    with open_session(login) as session:
        row = session.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


@pytest.fixture
def administrator(database: Login) -> Iterator[Login]:
    """A role of a real server that may create databases and is no superuser."""
    with open_session(database) as session:
        session.execute("CREATE ROLE rehearser LOGIN CREATEDB CREATEROLE PASSWORD 'rehearser'")
        yield replace(database, keywords={**database.keywords, "user": "rehearser"}, password="rehearser")
        session.execute("DROP ROLE rehearser")


def rehearsals(login: Login) -> object:
    """How many scratch databases a server has."""
    return answer(login, r"SELECT count(*) FROM pg_database WHERE datname LIKE 'runbook\_scratch\_%'")


def test_a_copy_is_as_its_template_was(state_folder: Path) -> None:
    """A copy has what its template has, at once after the last session of that, and then goes its own way."""
    with scratch(None, state_folder) as place:
        main = place.database()
        execute(place.login(main), "CREATE TABLE t AS SELECT 1 AS n")
        copy = place.login(place.copy(main))
        execute(copy, "UPDATE t SET n = 2")
        assert answer(copy, "SELECT n FROM t") == 2
        assert answer(place.login(main), "SELECT n FROM t") == 1


def test_its_own_server_is_quick_and_is_gone_afterwards(state_folder: Path) -> None:
    """It does not wait for disks, writes the log as a real server does, and leaves no process and no folder."""
    with scratch(None, state_folder) as place:
        admin = place.login("postgres")
        assert [answer(admin, f"SHOW {name}") for name in ("fsync", "autovacuum", "wal_level")] == [
            "off",
            "off",
            "replica",
        ]
        data = Path(str(answer(admin, "SHOW data_directory")))
        assert processes.of_cluster(data)
    assert not processes.of_cluster(data)
    assert not data.exists()
    assert [each.name for each in state_folder.iterdir()] == ["lock"]


def test_what_a_killed_process_left_goes_with_the_next(state_folder: Path) -> None:
    """Its server is ended and its folder removed; that of one who lives is left alone."""
    code = f"""
        import sys, time
        from pathlib import Path
        from ops_lib.postgres.migrations.scratch import scratch
        with scratch(None, Path({str(state_folder)!r})) as place:
            with place.session() as session:
                print(session.execute("SHOW data_directory").fetchone()[0], flush=True)
            sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout
        data = Path(holder.stdout.readline().strip())
        with scratch(None, state_folder):
            assert processes.postmaster(data)
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    assert processes.postmaster(data)
    with scratch(None, state_folder):
        assert not processes.of_cluster(data)
        assert not data.exists()


def test_on_a_server_of_others_its_databases_and_roles_go(
    database: Login, administrator: Login, state_folder: Path
) -> None:
    """Roles that the migrations made are dropped too, and none that were there before."""
    execute(database, "CREATE ROLE bystander")
    try:
        with scratch(administrator, state_folder) as place:
            text = "CREATE ROLE made_plainly; DO $$ BEGIN CREATE ROLE made_in_a_block; END $$; SELECT 'bystander'"
            place.admit([script(text)])
            copy = place.login(place.copy(place.database()))
            execute(copy, text, "CREATE TABLE t (a integer); GRANT SELECT ON t TO made_plainly")
            assert rehearsals(database) == 2
        assert rehearsals(database) == 0
        left = "SELECT string_agg(rolname, ' ') FROM pg_roles WHERE rolname ~ '^(made|bystander)'"
        assert answer(database, left) == "bystander"
    finally:
        execute(database, "DROP ROLE bystander")


def test_on_a_server_of_others_the_dead_are_swept(database: Login, administrator: Login, state_folder: Path) -> None:
    """Databases of a rehearsal without a session go when the next one begins; those of a living one stay."""
    dead = Scratch(administrator, own=False, token="deadbeef")
    dead.database()
    with dead.session() as session:
        dead.mark_role(session, "left_behind")
    with scratch(administrator, state_folder) as living:
        assert answer(database, "SELECT count(*) FROM pg_roles WHERE rolname = 'left_behind'") == 0
        living.database()
        with scratch(administrator, state_folder):
            assert rehearsals(database) == 1


def test_who_may_not_create_databases_is_refused(database: Login, administrator: Login, state_folder: Path) -> None:
    """It is said before anything is tried."""
    execute(database, "ALTER ROLE rehearser NOCREATEDB")
    with pytest.raises(Refused, match="rehearser may not create databases"), scratch(administrator, state_folder):
        pass


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT 1;\nALTER SYSTEM SET work_mem = '1MB'", "line 2: this changes the whole server"),
        ("CREATE DATABASE other", "changes the whole server"),
        ("DROP ROLE IF EXISTS rehearser", "changes the role rehearser, which was there before"),
        ("ALTER ROLE rehearser SET search_path = ''", "changes the role rehearser"),
        ("DROP OWNED BY rehearser", "changes the role rehearser"),
        ("DO $$ BEGIN EXECUTE 'DROP ROLE rehearser'; END $$", "changes the role rehearser"),
    ],
)
def test_a_server_of_others_is_not_changed(administrator: Login, state_folder: Path, text: str, why: str) -> None:
    """What reaches beyond the scratch databases is refused there, and let in on a server that is thrown away."""
    with scratch(administrator, state_folder) as place, pytest.raises(Refused, match=why):
        place.admit([script(text)])
    Scratch(administrator, own=True, token="x").admit([script(text)])


def test_missing_extensions_are_named(server: EmbeddedServer) -> None:
    """Those that the server has not, in one line."""
    place = Scratch(server.login(dbname="postgres"), own=False, token="x")
    assert lacks(place, {"hstore", "timescaledb", "postgis"}) == ["postgis", "timescaledb"]
    require_extensions(place, {"hstore", "pg_trgm"})
    with pytest.raises(Refused, match="lacks the extensions postgis, timescaledb"):
        require_extensions(place, {"postgis", "timescaledb"})


def test_what_a_script_reaches_is_read_from_its_tree() -> None:
    """Not from its words: a comment and a string are not statements."""
    assert not reach(script("SELECT 'CREATE ROLE a' -- DROP DATABASE b"))
    assert reach(script("create /* x */ role a"))
    assert made_roles([script("CREATE USER a; ALTER ROLE b CREATEDB")]) == {"a"}
    assert extensions([script("CREATE EXTENSION IF NOT EXISTS pg_trgm; SELECT 'CREATE EXTENSION x'")]) == {"pg_trgm"}
    assert not reach(script("no SQL"))


@pytest.mark.parametrize(
    ("text", "loses"),
    [
        ("CREATE TABLE t (a int); INSERT INTO t VALUES (1)", False),
        ("ALTER TABLE t ADD a int, DROP b", True),
        ("ALTER TABLE t ALTER a TYPE bigint", True),
        ("DELETE FROM t", True),
        ("DROP VIEW v", True),
    ],
)
def test_scripts_that_lose_rows_are_known(text: str, loses: bool) -> None:
    """After such a one went down and up, its database is no longer what it was."""
    assert loses_rows(script(text)) is loses
