"""Questions to the server: SQL in files, each with what it asks, the privileges it needs and the servers it serves.

A file holds one question, or several under names; a name may stand more than once for different server versions:

    -- Question waits: who waits for whom?
    -- Privileges: pg_read_all_stats to see the statements of others
    -- Servers: 14-18
    SELECT ...

Parameters are always bound, so a percent sign is written twice.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

MARK = "/* runbook */"
_FIRST_WORD = re.compile(r"\A(?:\s+|--[^\n]*\n|/\*.*?\*/)*\w+", re.DOTALL)
_HEADER = re.compile(
    r"^-- Question(?: (?P<name>\w+))?: (?P<asks>.+)\n(?:--   .+\n)*"
    r"-- Privileges: (?P<privileges>.+)\n(?:--   .+\n)*"
    r"-- Servers: (?P<first>\d+)-(?P<last>\d+)\n",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One statement with its header."""

    name: str
    asks: str
    privileges: str
    servers: range
    sql: str


def parse(text: str) -> tuple[Question, ...]:
    """The questions of one file.

    >>> [(q.name, q.servers) for q in parse("-- Question a: b?\\n-- Privileges: none\\n-- Servers: 14-18\\nSELECT 1")]
    [('a', range(14, 19))]
    """
    headers = list(_HEADER.finditer(text))
    ends = [header.start() for header in headers[1:]] + [len(text)]
    return tuple(
        Question(
            name=header["name"] or "",
            asks=header["asks"],
            privileges=header["privileges"],
            servers=range(int(header["first"]), int(header["last"]) + 1),
            sql=marked(text[header.end() : end].strip().removesuffix(";")),
        )
        for header, end in zip(headers, ends, strict=True)
    )


def marked(statement: str) -> str:
    r"""A statement that can be told from the target's own work in pg_stat_statements, which drops leading comments.

    >>> marked("-- Question: why?\nSELECT 1")
    '-- Question: why?\nSELECT /* runbook */ 1'
    """
    if MARK in statement:
        return statement
    return _FIRST_WORD.sub(rf"\g<0> {MARK}", statement, count=1)


@cache
def questions(package: str, stem: str) -> tuple[Question, ...]:
    """All questions of the file `stem.sql` in a package."""
    return parse(files(package).joinpath(f"{stem}.sql").read_text(encoding="utf-8"))


def served(package: str, stem: str, server_version: int) -> Mapping[str, str]:
    """The SQL of each question of a file by name, in the form that this server takes.

    A server newer than all that a file names is asked in the newest form.
    """
    major = server_version // 10_000
    asked: dict[str, str] = {}
    for item in sorted(questions(package, stem), key=lambda item: item.servers.start):
        if item.servers.start <= major:
            asked[item.name] = item.sql
    return asked


def question(name: str) -> str:
    """The SQL of a file of this folder that holds one question for all servers."""
    (only,) = questions(__name__, name)
    return only.sql
