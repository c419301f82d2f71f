"""The file `index.sqlite`: a cache that any process may use, fill, lose, and make again.

Who uses the file holds `index.lock` shared; who replaces it holds it exclusively, since SQLite keeps a log beside the
file by name and a log must never meet another file. A file is made aside and renamed into its place when it is whole,
so that a kill at any moment leaves the old one, none, or the new one. Within one file, SQLite's transactions and its
write-ahead log do the rest.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from ops_lib.archive import files
from ops_lib.archive.index import VERSION, Index, Say
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.tail import identity_of
from ops_lib.model.errors import IndexUnavailable

NAME, LOCK, MAKING = "index.sqlite", "index.lock", "index.making.lock"
_AT_ONCE = 1 << 23
_SORTED_IN_MEMORY = "INSERT INTO words (words, rank) VALUES ('hashsize', ?)"
SHORT_BYTES = 1 << 18
_PATIENCE_S, _HURRY_S = 60.0, 0.25
_WORTHLESS = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT}
_SCHEMA = Path(__file__).with_name("index.sql")
Answer = TypeVar("Answer")


class _Worthless(Exception):
    """The file is missing, damaged, of another version, or of another ledger."""


def silent(_: str) -> None:
    pass


def consult(root: Path, question: Callable[[Index], Answer], *, say: Say = silent, hurry: bool = False) -> Answer:
    """The answer to a question that is put to the index of an archive, once it holds everything that is sealed.

    A worthless index is made again, once. In a hurry nothing is waited for and no long work is begun.
    IndexUnavailable where there is no answer; the archive itself is never the reason, since the index is a cache.
    """
    with _explained(root):
        for _ in range(2):
            seen = identity_of(root / NAME)
            try:
                return _ask(root, question, say, hurry)
            except _Worthless:
                _make_again(root, say, hurry, unless_replaced=seen)
        return _ask(root, question, say, hurry)


def keep_up(root: Path) -> None:
    """Take in what was just sealed, where that is quickly done; whatever hinders it is left to the next command."""
    with suppress(Exception):  # a run is sealed by now, and a cache is never a reason to call it failed
        consult(root, lambda _: None, hurry=True)


def reindex(root: Path, say: Say) -> int:
    """Make the index from nothing; how many runs it holds. Others use the old one until the new one is whole."""
    with _explained(root):
        _make_again(root, say, False, unless_replaced=-1)
    return consult(root, Index.count, say=say)


@contextmanager
def _explained(root: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error, _Worthless) as error:
        what = f"the index {root / NAME} cannot be used: {error}"
        raise IndexUnavailable(what, hint="records are complete without it") from error


def _ask(root: Path, question: Callable[[Index], Answer], say: Say, hurry: bool) -> Answer:
    shared = _locked(root / LOCK, fcntl.LOCK_SH, say, hurry)
    with shared, _worth_something(), closing(_open(root / NAME, hurry)) as connection:
        index = Index(root, connection)
        if not index.position().holds(Ledger(root).path):
            raise _Worthless("the index is of another ledger")
        index.catch_up(say, most=SHORT_BYTES if hurry else None)
        return question(index)


@contextmanager
def _worth_something() -> Iterator[None]:
    """Tells damage, which a new file ends, from what a new file would not end either."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", -1) & 0xFF in _WORTHLESS:
            raise _Worthless(str(error)) from error
        raise


def _open(path: Path, hurry: bool) -> sqlite3.Connection:
    if not path.is_file():
        raise _Worthless("there is no index")
    connection = sqlite3.connect(path, isolation_level=None, timeout=_HURRY_S if hurry else _PATIENCE_S)
    try:
        if connection.execute("PRAGMA user_version").fetchone() != (VERSION,):
            raise _Worthless("the index is of another version")
        connection.executescript("PRAGMA secure_delete = ON; PRAGMA synchronous = NORMAL;")
    except BaseException:
        connection.close()
        raise
    return connection


def _make_again(root: Path, say: Say, hurry: bool, *, unless_replaced: int | None) -> None:
    """Make the file aside and put it into its place, unless another process has done so in the meantime."""
    with _locked(root / MAKING, fcntl.LOCK_EX, say, hurry):
        if unless_replaced != -1 and identity_of(root / NAME) not in (None, unless_replaced):
            return
        if hurry and Ledger(root).path.stat().st_size > SHORT_BYTES:
            raise IndexUnavailable("the index is missing", hint="runbook reindex")
        made = _make(root, say)
        with _locked(root / LOCK, fcntl.LOCK_EX, say, hurry):
            _remove(root / NAME)
            made.rename(root / NAME)
            files.sync_folder(root)


def _make(root: Path, say: Say) -> Path:
    """A whole index beside the one in use, durable before it gets its name."""
    path = root / f"{NAME}.part"
    with empty(path) as connection:
        index = Index(root, connection)
        index.catch_up(say, at_once=_AT_ONCE)
        index.take_in_strays(say)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return path


@contextmanager
def empty(path: Path) -> Iterator[sqlite3.Connection]:
    """A new file to be filled. While it is, it needs no log and no fsync: until it is whole it has no name."""
    _remove(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;")
        connection.executescript(_SCHEMA.read_text())
        connection.execute(_SORTED_IN_MEMORY, (1 << 25,))
        yield connection
        connection.execute(_SORTED_IN_MEMORY, (1 << 20,))
        connection.executescript(f"PRAGMA user_version = {VERSION}; PRAGMA journal_mode = WAL;")


def _remove(path: Path) -> None:
    """The file first: a log without its file is dropped by SQLite, a file without its log may be damaged."""
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm"),
                 path.with_name(f"{path.name}-journal")):  # fmt: skip
        name.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path, how: int, say: Say, hurry: bool) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if hurry:
                raise
            say("waiting for another process that makes the index")
            fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
