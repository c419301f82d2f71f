"""Schemas as they can be compared: what pg_dump says of a database, taken apart into parts that have names.

    table raw.games                     all but its columns: storage, partition key, owner
    column raw.games.wind               numeric DEFAULT 0
    constraint games_pkey on raw.games  ALTER TABLE ONLY raw.games ADD CONSTRAINT ...
    index raw.games_wind_idx            CREATE INDEX ...
    privileges on table raw.games       GRANT ...

The order of columns does not count, nor do positions of sequences, tablespaces, access methods and security labels.
Owners, grants and comments do. An invalid index is not seen: pg_dump leaves it out.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ops_lib.model.rehearsal import Change
from ops_lib.model.target import Login
from ops_lib.postgres.migrations.clients import call

_ENTRY = re.compile(r"^--\n-- Name: (.*); Type: (.*?); Schema: (.*?); Owner: .*\n--\n\n", re.MULTILINE)
_BETWEEN = re.compile(
    r"(?:^(?:SET default_\w+ = .*;|--|-- PostgreSQL database dump complete|\\unrestrict .*)\n*)+\Z", re.MULTILINE
)
_TOKEN = re.compile(r""""(?:[^"]|"")*"|'(?:[^']|'')*'|[(),]""")
_NAME = re.compile(r'"(?:[^"]|"")*"|\S+')
_RELATED = re.compile(r" ON (?:ONLY )?(\S+) |(?: OWNED BY|^ALTER TABLE ONLY) ([^\s.]+\.[^\s.;]+)", re.MULTILINE)
_KIND = re.compile(r"\A(?:[a-z]+ )+(?=\S+)")
_WITH_TABLE = {"CONSTRAINT": "constraint", "FK CONSTRAINT": "constraint", "CHECK CONSTRAINT": "constraint",
               "TRIGGER": "trigger", "POLICY": "policy", "RULE": "rule"}  # fmt: skip
_WHOLES = ("table ", "schema ", "view ", "materialized view ", "foreign table ", "extension ", "function ",
           "procedure ", "type ", "domain ")  # fmt: skip
_OPTIONS = ("--schema-only", "--no-tablespaces", "--no-publications", "--no-subscriptions", "--no-security-labels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The parts of a database's schema, in their normal form."""

    parts: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The same for two databases whose parts are the same, on servers of the same version."""
        lines = (f"{subject}\n{text}\n" for subject, text in sorted(self.parts.items()))
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def dump(login: Login, *, leave_out: Sequence[str] = (), lock_wait_ms: int = 0) -> Schema:
    """The schema of a database without the tables of `leave_out`, which are the histories, as `ops.schema_migrations`.

    On a database that others use, `lock_wait_ms` says how long it may wait for one who alters a table.
    """
    role = (f"--role={login.role}",) if login.role else ()
    patience = (f"--lock-wait-timeout={lock_wait_ms}",) if lock_wait_ms else ()
    omitted = [option for table in leave_out for option in _omitted(table)]
    return parse(call("pg_dump", login, *_OPTIONS, *role, *patience, *omitted), leave_out=leave_out)


def parse(text: str, *, leave_out: Sequence[str] = ()) -> Schema:
    """What a plain dump holds."""
    homes = {_schema(table) for table in leave_out} - {"public"}
    found = ((subject, told) for subject, told in _parts(text) if not _is_home(subject, homes))
    return Schema(parts=_gathered(found))


def difference(before: Schema, after: Schema) -> list[Change]:
    """What is not the same, by name. Of a table, a schema or the like that is new or gone only itself is told."""
    old, new = before.parts, after.parts
    subjects = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    wholes = {_named(key) for key in subjects if _is_whole(key) and (key in old) != (key in new)}
    told = [key for key in subjects if not wholes & _owners(key, old.get(key) or new[key])]
    return [Change(subject=key, before=old.get(key), after=new.get(key)) for key in told]


def _parts(text: str) -> Iterator[tuple[str, str]]:
    headers = list(_ENTRY.finditer(text))
    ends = [header.start() for header in headers[1:]] + [len(text)]
    for header, end in zip(headers, ends, strict=False):
        name, kind, schema = header.groups()
        yield from _entry(name, kind, schema, text[header.end() : end])


@lru_cache(maxsize=8192)
def _entry(name: str, kind: str, schema: str, text: str) -> tuple[tuple[str, str], ...]:
    """The parts of one entry of a dump. Most entries are the same in the next dump, and taken apart once."""
    body = re.sub(r"\n{2,}", "\n", _BETWEEN.sub("", text).strip())
    qualified = name if schema in {"-", ""} else f"{schema}.{name}"
    if kind in {"TABLE", "FOREIGN TABLE"} and "(" in body:
        return tuple(_table(kind.lower(), qualified, body))
    if kind == "USER MAPPING":
        body = ""  # its options hold a password
    if kind in {"ACL", "DEFAULT ACL"}:
        body = "\n".join(sorted(body.splitlines()))
    return ((_subject(kind, name, schema, qualified), body),)


def _subject(kind: str, name: str, schema: str, qualified: str) -> str:
    """How a part is called.

    >>> _subject("FK CONSTRAINT", "games games_home_fkey", "raw", "raw.games games_home_fkey")
    'constraint games_home_fkey on raw.games'
    >>> _subject("COMMENT", "COLUMN games.wind", "raw", "raw.COLUMN games.wind")
    'comment on column raw.games.wind'
    """
    home = "" if schema in {"-", ""} else f"{schema}."
    first, _, rest = name.partition(" ")
    if kind in _WITH_TABLE and rest:
        return f"{_WITH_TABLE[kind]} {rest} on {home}{first}"
    if kind == "DEFAULT":
        return f"default of {home}{first}.{rest}"
    if kind in {"COMMENT", "ACL"}:
        return f"{'comment' if kind == 'COMMENT' else 'privileges'} on {first.lower()} {home}{rest}"
    return f"{kind.lower()} {qualified}"


def _table(kind: str, table: str, body: str) -> Iterator[tuple[str, str]]:
    items, rest = _split(body)
    yield f"{kind} {table}", "\n".join(sorted(line for line in rest.splitlines() if line))
    for item in items:
        name = _NAME.match(item)
        assert name is not None, body
        told = item[name.end() :].strip()
        if name[0] == "CONSTRAINT":
            named = _NAME.match(told)
            assert named is not None, body
            yield f"constraint {_bare(named[0])} on {table}", told[named.end() :].strip()
        else:
            yield f"column {table}.{_bare(name[0])}", told


def _split(body: str) -> tuple[list[str], str]:
    """What stands between the first brackets of a statement, parted at its commas, and what stands around them.

    >>> _split("CREATE TABLE t (a int DEFAULT f(1, ','), b int) WITH (x);")
    (["a int DEFAULT f(1, ',')", 'b int'], 'CREATE TABLE t \\n WITH (x);')
    """
    items: list[str] = []
    depth = begin = first = 0
    for token in _TOKEN.finditer(body):
        sign, at = token[0], token.start()
        depth += (sign == "(") - (sign == ")")
        if sign == "(" and depth == 1:
            begin = first = at + 1
        elif depth == 0 and sign == ")":
            items.append(body[begin:at])
            return [item.strip() for item in items if item.strip()], f"{body[: first - 1]}\n{body[at + 1 :]}"
        elif sign == "," and depth == 1:
            items.append(body[begin:at])
            begin = at + 1
    return [], body


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _gathered(found: Iterable[tuple[str, str]]) -> dict[str, str]:
    """One text for each subject; pg_dump may have several entries under one name."""
    parts: dict[str, str] = {}
    for subject, text in found:
        parts[subject] = f"{parts[subject]}\n{text}" if subject in parts else text
    return parts


def _is_whole(subject: str) -> bool:
    return subject.startswith(_WHOLES)


def _named(subject: str) -> str:
    return next(subject.removeprefix(kind) for kind in _WHOLES if subject.startswith(kind))


def _owners(subject: str, text: str) -> set[str]:
    """The names of what a part comes and goes with.

    >>> sorted(_owners("comment on column raw.games.wind", ""))
    ['raw', 'raw.games', 'raw.games.wind']
    >>> sorted(_owners("index raw.wind_idx", "CREATE INDEX wind_idx ON raw.games USING btree (wind)"))
    ['raw', 'raw.games', 'raw.wind_idx']
    """
    where = subject.rpartition(" on ")[2] if " on " in subject else subject.partition(" ")[2]
    name = _KIND.sub("", where)
    above = {name[:at] for at, sign in enumerate(name) if sign == "."}
    related = set() if _is_whole(subject) else {match[1] or match[2] for match in _RELATED.finditer(text)}
    itself = set() if _is_whole(subject) else {name}
    return above | related | itself


def _schema(table: str) -> str:
    return table.partition(".")[0] if "." in table else "public"


def _is_home(subject: str, homes: set[str]) -> bool:
    """Whether a part is the schema of a history, which is made with it."""
    return any(
        subject in {f"schema {home}", f"comment on schema {home}", f"privileges on schema {home}"} for home in homes
    )


def _omitted(table: str) -> tuple[str, str]:
    """Options that leave out a table, and the sequence of a serial column of it, which is no part of it to pg_dump."""
    schema, name = _schema(table), table.rpartition(".")[2]
    return (f'--exclude-table="{schema}"."{name}"', f'--exclude-table="{schema}"."{name}"_*_seq')
