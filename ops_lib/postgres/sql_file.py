"""SQL files: split by PostgreSQL's own parser, run, and their errors told by file and line."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from ops_lib.model.errors import BadInput, OpsError

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of a file, the line on which it begins, and the name of its node in the parser's tree."""

    text: str
    line: int
    node: Any


def statements(text: str, name: str = "SQL", first_line: int = 1) -> list[Statement]:
    """The statements of a text, in order, without comments before them; lines count from `first_line`.

    >>> [(s.line, s.text) for s in statements("SELECT 1;\\n-- ; no end\\nSELECT ';'")]
    [(1, 'SELECT 1'), (3, "SELECT ';'")]
    """
    import pglast  # noqa: PLC0415 (heavy)

    try:
        trees = pglast.parse_sql(text)
        slices = pglast.split(text, with_parser=True, only_slices=True)
    except pglast.parser.ParseError as error:
        line = first_line - 1 + _line_of(text, _position(error))
        raise BadInput(f"{name}, line {line}: {error.args[0]}") from None
    return [
        Statement(text=text[part], line=first_line - 1 + _line_of(text, part.start), node=tree.stmt)
        for tree, part in zip(trees, slices, strict=True)
    ]


def run(connection: Connection, file: Path) -> None:
    """Runs a whole file as psql -f would; an error names file and line."""
    text = file.read_text(encoding="utf-8")
    with located(file, text):
        connection.execute(text.encode())


@contextmanager
def located(file: Path, text: str, first_line: int = 1) -> Iterator[None]:
    """Turns what the server says about a text into an error with file and line."""
    try:
        yield
    except psycopg.Error as error:
        at = int(error.diag.statement_position or 1)
        where = f"{file}, line {first_line - 1 + _line_of(text, at - 1)}"
        what = error.diag.message_primary or str(error).strip()
        raise OpsError(f"{where}: {what}", hint=error.diag.message_hint or error.diag.message_detail) from error


def _line_of(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _position(error: Any) -> int:
    return int(error.args[1]) if len(error.args) > 1 and error.args[1] is not None else 0
