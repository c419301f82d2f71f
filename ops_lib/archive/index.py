"""What is in the search index: rows and words of every sealed run, taken in from the ledger on."""

import json
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import RECORD, Records
from ops_lib.archive.staging import ATTACHMENTS
from ops_lib.archive.tail import CHUNK, Form, Position, concerned, read_on
from ops_lib.model.errors import IndexUnavailable
from ops_lib.model.ledger import sha256
from ops_lib.model.search import Label, Query, words
from ops_lib.model.snapshot import FILE_NAME as SNAPSHOT
from ops_lib.model.summary import Summary, labels, passages
from ops_lib.model.ulid import milliseconds

NOTEBOOK = "notebook.ipynb"
VERSION = 2
Say = Callable[[str], None]
_LAST = (1 << 63) - 1
_COLUMNS = [field.name for field in fields(Summary)]
_ADD = f"INSERT OR REPLACE INTO runs (id, {', '.join(_COLUMNS)}) VALUES (?{', ?' * len(_COLUMNS)})"  # noqa: S608
_SELECT = f"SELECT {', '.join(f'runs.{name}' for name in _COLUMNS)}"
_NEWEST = f"{_SELECT} FROM runs WHERE id BETWEEN ? AND ? ORDER BY id DESC"
_HOLDING = (
    f"{_SELECT} FROM words CROSS JOIN runs ON runs.id = words.rowid "
    "WHERE words.rowid BETWEEN ? AND ? AND words MATCH ? ORDER BY words.rowid DESC"
)
DAMAGED = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
UNREADABLE = (OSError, *DAMAGED)


class Index:
    """An open index. `ops_lib.archive.indexing` opens it, replaces a worthless one, and is what others call."""

    def __init__(self, root: Path, connection: sqlite3.Connection) -> None:
        self._root = root
        self._records = Records(root)
        self._ledger = Ledger(root).path
        self._connection = connection

    def search(self, query: Query) -> Iterator[Summary]:
        """The runs that fit, the newest first, read as far as they are asked for; phrases are the caller's to check."""
        wanted = " AND ".join(_terms(query))
        bounds = (_key(query.since, 0), _key(query.until, _LAST))
        if query.before is not None:
            bounds = (bounds[0], min(bounds[1], milliseconds(query.before) - 1))
        found = self._connection.execute(_HOLDING if wanted else _NEWEST, (*bounds, wanted) if wanted else bounds)
        for row in found:
            yield _summary(row)

    def count(self) -> int:
        """How many runs it holds."""
        return int(self._one("SELECT count(*) FROM runs")[0])

    def position(self) -> Position:
        """How far the ledger is in here."""
        end, length, digest = self._one("SELECT ledger_bytes, line_bytes, digest FROM state")
        return Position(end=end, length=length, digest=digest)

    def catch_up(self, say: Say, *, most: int | None = None, at_once: int = CHUNK) -> None:
        """Take in what the ledger has gained, `at_once` bytes a transaction.

        IndexUnavailable where it has gained more than `most` bytes. With such a limit, clearing up is left to others,
        and what speaks of no run that is over is left in the ledger.
        """
        behind = self.position().behind(self._ledger)
        if most is not None and behind > most:
            raise IndexUnavailable(f"the index is {behind} bytes behind", hint="runbook reindex")
        tried: set[str] = set()
        while True:
            position = self.position()
            lines, then = read_on(self._ledger, position, most=at_once)
            ready = {run_id for run_id, form in self._awaited().items() if self._is_in(run_id, form)} - tried
            quiet = then == position or (most is not None and not concerned(lines))
            if quiet and not ready:
                break
            tried |= ready
            with self.writing():
                self._take_in(at_once)
            if then.behind(self._ledger):
                say(f"indexing: {100 * then.end // max(1, then.end + then.behind(self._ledger))} % of the ledger")
        if most is None and self._one("SELECT purge FROM state")[0]:
            say("clearing the index of what was taken back")
            self._purge()

    def take_in_strays(self, say: Say) -> None:
        """Records that the ledger does not know are listed all the same; `runbook verify` names them."""
        known = {run_id for (run_id,) in self._connection.execute("SELECT run_id FROM runs")}
        strays = [folder.name for folder in self._records.newest_first() if folder.name not in known]
        if strays:
            say(f"indexing {len(strays)} records that the ledger does not name")
            self.refresh(strays)

    def refresh(self, run_ids: Iterable[str]) -> None:
        """Read records again, as they are now."""
        with self.writing():
            for run_id in sorted(run_ids):
                self._refresh(run_id, {})

    def _take_in(self, at_once: int) -> None:
        """One part of the ledger; everything is read again here, since another process may have been faster."""
        lines, then = read_on(self._ledger, self.position(), most=at_once)
        forms = self._awaited()
        forms |= {run_id: form for run_id, form in concerned(lines).items() if form != {} or run_id not in forms}
        for run_id in sorted(forms):
            self._refresh(run_id, forms[run_id])
        set_position = "UPDATE state SET ledger_bytes = ?, line_bytes = ?, digest = ?"
        self._connection.execute(set_position, (then.end, then.length, then.digest))

    def _refresh(self, run_id: str, form: Form) -> None:
        """Make one run's row and words what its folder says; nothing is kept of a folder that is to change."""
        settled = self._is_in(run_id, form)
        waits = not settled and (form != {} or self._is_moving(run_id))
        read = None
        if settled and form is not None:
            try:
                read = self._read(run_id)
            except OSError:  # it is there and cannot be read now: the next catching up tries again
                waits = True
        if waits:
            self._connection.execute("INSERT OR REPLACE INTO awaited VALUES (?, ?)", (run_id, json.dumps(form)))
        else:
            self._connection.execute("DELETE FROM awaited WHERE run_id = ?", (run_id,))
        if read != self._held(run_id):
            self._forget(run_id)
            if read:
                self.add(*read)

    def _is_in(self, run_id: str, form: Form) -> bool:
        """Whether a run's folder is what the ledger says that it is or will be."""
        folder = self._records.folder_of(run_id)
        if form is None or not folder.is_dir():
            return form is None and not folder.is_dir()
        return all(_digest(folder / path) == form[path] for path in (RECORD, NOTEBOOK) if path in form)

    def _is_moving(self, run_id: str) -> bool:
        """Whether a run is on its way from staging to its place; asked in this order, it cannot be missed."""
        return (self._root / "staging" / run_id).is_dir() or self._is_in(run_id, {})

    def _awaited(self) -> dict[str, Form]:
        found = self._connection.execute("SELECT run_id, form FROM awaited")
        return {run_id: json.loads(form) for run_id, form in found}

    def _read(self, run_id: str) -> tuple[Summary, str] | None:
        """A run's row and words as its folder has them; nothing where they are damaged, which `verify` names."""
        try:
            return read_for_search(self._records.folder_of(run_id))
        except (FileNotFoundError, *DAMAGED):
            return None

    def _held(self, run_id: str) -> tuple[Summary, str] | None:
        """A run's row and words as the index has them."""
        row = self._one(f"{_SELECT}, held.words FROM runs JOIN held USING (id) WHERE run_id = ?", run_id)
        return (_summary(row[:-1]), zlib.decompress(row[-1]).decode()) if row else None

    def add(self, summary: Summary, text: str) -> None:
        """One run that is not in here yet."""
        place = milliseconds(summary.run_id)
        while self._one("SELECT 1 FROM runs WHERE id = ?", place):
            place += 1
        self._connection.execute(_ADD, (place, *(getattr(summary, name) for name in _COLUMNS)))
        self._connection.execute("INSERT INTO held VALUES (?, ?)", (place, zlib.compress(text.encode(), 1)))
        self._connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (place, text))

    def _forget(self, run_id: str) -> None:
        row = self._one("SELECT id, words FROM runs JOIN held USING (id) WHERE run_id = ?", run_id)
        if row is None:
            return
        place, text = row[0], zlib.decompress(row[1]).decode()
        self._connection.execute("INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", (place, text))
        self._connection.execute("DELETE FROM held WHERE id = ?", (place,))
        self._connection.execute("DELETE FROM runs WHERE id = ?", (place,))
        self._connection.execute("UPDATE state SET purge = 1")

    def _purge(self) -> None:
        """Leave no byte of words that were taken back: they stay in FTS5's older segments until these are merged."""
        with self.writing():
            self._connection.execute("INSERT INTO words (words) VALUES ('optimize')")
            self._connection.execute("UPDATE state SET purge = 0")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction: all of what is done inside, or nothing of it."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()

    def _one(self, sql: str, *values: Any) -> Any:
        return self._connection.execute(sql, values).fetchone()


def read_for_search(folder: Path) -> tuple[Summary, str]:
    """The row of a record and its words, in the form that the index keeps."""
    record, notebook = json.loads((folder / RECORD).read_bytes()), read_notebook(folder)
    summary, text = entry_for(record, notebook, snapshot=(folder / ATTACHMENTS / SNAPSHOT).is_file())
    return replace(summary, run_id=folder.name), text


def entry_for(record: Mapping[str, Any], notebook: Mapping[str, Any], *, snapshot: bool = False) -> tuple[Summary, str]:
    """The row and the words of a record and its notebook."""
    summary = Summary.of(record, snapshot=snapshot)
    held = {word for passage in passages(record, notebook) for word in words(passage)}
    return summary, " ".join(sorted(held | {_mark(*label) for label in labels(record, summary)}))


def read_notebook(folder: Path) -> dict[str, Any]:
    """The notebook of a record, empty where there is none or it is damaged."""
    try:
        notebook = json.loads((folder / NOTEBOOK).read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return notebook if isinstance(notebook, dict) else {}


def _digest(path: Path) -> str:
    try:
        return sha256(path.read_bytes())
    except OSError:
        return ""


def fits(query: Query, summary: Summary, text: str) -> bool:
    """Whether a row with its words is what a query asks for: the same answer as a search, without an index."""
    held = text.split(" ")
    exact = {*query.words, *(_mark(*label) for label in query.labels)}
    at = milliseconds(summary.run_id)
    return (
        _key(query.since, 0) <= at <= _key(query.until, _LAST)
        and (query.before is None or at < milliseconds(query.before))
        and exact <= set(held)
        and all(any(word.startswith(prefix) for word in held) for prefix in query.prefixes)
    )


def scan(root: Path, query: Query, *, most: int | None = None) -> Iterator[Summary]:
    """What a search finds, by reading every record, the newest first, or the newest `most`."""
    for folder in islice(Records(root).newest_first(), most):
        try:
            summary, text = read_for_search(folder)
        except UNREADABLE:
            continue
        if fits(query, summary, text):
            yield summary


def _terms(query: Query) -> Iterator[str]:
    """A query in FTS5's language. Words hold letters, digits, `_` and `-` only, so quoting them is all it takes."""
    yield from (f'"{word}"' for word in query.words)
    yield from (f'"{prefix}" *' for prefix in query.prefixes)
    yield from (f'"{_mark(*label)}"' for label in query.labels)


def _mark(label: Label, value: str) -> str:
    """A label as a word that no text holds: it begins with a letter for private use, which is part of no word."""
    return f"\ue000{label}{sha256(value.casefold().encode(errors='replace'))[:16]}"


def _summary(row: tuple[Any, ...]) -> Summary:
    values = dict(zip(_COLUMNS, row, strict=True))
    return Summary(**{**values, **{name: bool(values[name]) for name in ("snapshot", "emergency")}})


def _key(at: datetime | None, default: int) -> int:
    return default if at is None else max(0, int(at.timestamp() * 1000))
