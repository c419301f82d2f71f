"""TimescaleDB: calls that lock, rewrite or lose whole chunks."""

from collections.abc import Iterator
from typing import Any, Final

from pglast import ast

from ops_lib.model.finding import Severity
from ops_lib.postgres.lint.act import Act
from ops_lib.postgres.lint.locks import ACCESS_EXCLUSIVE, EXCLUSIVE
from ops_lib.postgres.lint.names import calls, strings
from ops_lib.postgres.lint.notice import CRITICAL, WARNING, Notice, Rule
from ops_lib.postgres.lint.story import Story

_MIGRATE: Final = "create_hypertable"
_ANEW: Final = "nobody can read or write the chunks while they are written anew"
_PACKED: Final = "nobody can write to a chunk while it is compressed"
_ONE_BY_ONE: Final = "one chunk at a time, each in a transaction of its own"
_COLD: Final = "chunks that nobody writes to any more, or a policy that picks those"
_LOOK: Final = "look at show_chunks() first, and keep a backup"
_CALLS: Final[dict[str, tuple[Severity, str | None, str, str]]] = {
    "drop_chunks": (CRITICAL, ACCESS_EXCLUSIVE, "the rows of whole chunks are lost", _LOOK),
    "decompress_chunk": (CRITICAL, ACCESS_EXCLUSIVE, _ANEW, _ONE_BY_ONE),
    "convert_to_rowstore": (CRITICAL, ACCESS_EXCLUSIVE, _ANEW, _ONE_BY_ONE),
    "compress_chunk": (WARNING, EXCLUSIVE, _PACKED, _COLD),
    "convert_to_columnstore": (WARNING, EXCLUSIVE, _PACKED, _COLD),
    "recompress_chunk": (WARNING, EXCLUSIVE, _PACKED, _COLD),
    "merge_chunks": (CRITICAL, ACCESS_EXCLUSIVE, _ANEW, _ONE_BY_ONE),
    "split_chunk": (CRITICAL, ACCESS_EXCLUSIVE, _ANEW, _ONE_BY_ONE),
    "reorder_chunk": (CRITICAL, ACCESS_EXCLUSIVE, _ANEW, _ONE_BY_ONE),
    "move_chunk": (CRITICAL, ACCESS_EXCLUSIVE, _ANEW, _ONE_BY_ONE),
    "add_retention_policy": (WARNING, None, "chunks are dropped from now on, the old ones at once", _LOOK),
}


def hypertable_with_data(act: Act, story: Story) -> Iterator[Notice]:
    for name, call in calls(act.node) if act.command is None else ():
        if name == _MIGRATE and _migrates(call):
            yield Notice(
                rule="create-hypertable-with-data",
                severity=CRITICAL,
                subject=_table(call, story),
                lock=ACCESS_EXCLUSIVE,
                effect="nobody can read or write while all rows are moved into chunks, in one transaction",
                remedy="make an empty hypertable beside it, copy the rows in batches, then switch the names",
            )


def chunk_calls(act: Act, story: Story) -> Iterator[Notice]:
    found = list(calls(act.node)) if act.command is None else []
    chunks = next((call for name, call in found if name == "show_chunks"), None)
    for name, call in found:
        if name in _CALLS:
            severity, lock, effect, remedy = _CALLS[name]
            yield Notice(
                rule=name.replace("_", "-"),
                severity=severity,
                subject=_table(chunks or call, story),
                lock=lock,
                effect=effect,
                remedy=remedy,
            )


def _migrates(call: Any) -> bool:
    """Whether the argument migrate_data is given and is not plainly false."""
    named = [each for each in call.args or () if isinstance(each, ast.NamedArgExpr) and each.name == "migrate_data"]
    return any(getattr(getattr(each.arg, "val", None), "boolval", True) for each in named)


def _table(call: Any, story: Story) -> str:
    """The table that a call names in its first argument."""
    text = next(iter(sorted(strings(call.args[0]))), "") if call.args else ""
    name = text.replace('"', "")
    return (name if "." in name else f"{story.schema}.{name}") if name else "database"


RULES: Final[tuple[Rule, ...]] = (hypertable_with_data, chunk_calls)
