"""Fixtures that more than one floor uses: a real server, an empty database on it, a loaded sample platform."""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from ops_lib.model.target import Login
from ops_lib.operations import demonstrate
from ops_lib.operations.demonstrate import Demonstration
from ops_lib.postgres.server import EmbeddedServer
from tests.figures import pytest_sessionfinish, pytest_terminal_summary, pytest_testnodedown

__all__ = ["pytest_sessionfinish", "pytest_terminal_summary", "pytest_testnodedown"]

DB = Path(__file__).parent.parent / "db"
_numbers = itertools.count(1)


def open_session(login: Login) -> "psycopg.Connection[tuple[object, ...]]":
    """A plain autocommit session, for what a test sets up behind the back of the code under test."""
    return psycopg.connect(**login.keywords, password=login.password, autocommit=True)


@pytest.fixture
def state_folder() -> Iterator[Path]:
    """An empty state folder with a short path that every account can pass through."""
    yield from _folder()


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """A server of our own, with pg_stat_statements loaded, removed at the end of the session."""
    for folder in _folder():
        own = EmbeddedServer(folder)
        own.start()
        yield own
        own.remove()


@pytest.fixture
def database(server: EmbeddedServer) -> Iterator[Login]:
    """A fresh empty database, reached as superuser, dropped afterwards whoever is still connected to it."""
    name = f"test_{next(_numbers)}"
    admin = server.login(dbname="postgres")
    with open_session(admin) as session:
        session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield replace(admin, keywords={**admin.keywords, "dbname": name})
        session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def platform(server: EmbeddedServer) -> Demonstration:
    """The sample platform with its latest three seasons, installed and healthy. Tests leave it as it is."""
    small = Demonstration(server=server, sql=DB, database="platform", scale=0.1)
    demonstrate.install(small, progress=lambda message: None)
    return small


@pytest.fixture(scope="session")
def platform_database(platform: Demonstration) -> Login:
    """Superuser's login to the loaded sample platform."""
    return platform.login()


def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ops-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
