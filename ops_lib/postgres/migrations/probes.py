"""Probes: whether a statement that no transaction can hold has had its effect, and what its failure left behind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from ops_lib.model.step import Found
from ops_lib.postgres.migrations.blockers import ask

Connection = psycopg.Connection
Probe = Callable[[Connection, Any], "Look"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was found. `debris` are the statements that remove what a failure left; `instead` is what is done in place
    of the statement, where it is half done and can only be finished in another way."""

    found: Found
    debris: tuple[str, ...] = ()
    instead: str = ""


_DONE, _NOT_DONE, _UNKNOWN = Look(found=Found.DONE), Look(found=Found.NOT_DONE), Look(found=Found.UNKNOWN)


def look(connection: Connection, node: Any) -> Look:
    """Whether a statement has had its effect. What may be done twice is said not to have had it."""
    probe = _PROBES.get(type(node).__name__)
    return probe(connection, node) if probe else _UNKNOWN


def known(node: Any) -> bool:
    """Whether an error of a statement says that nothing was done, but for what `look` finds."""
    return type(node).__name__ in _PROBES


def blocks_nobody(node: Any) -> bool:
    """Whether a statement waits for others without anybody having to wait for it: it is one that works concurrently."""
    kind = type(node).__name__
    if kind == "ReindexStmt":
        return any(option.defname == "concurrently" for option in node.params or ())
    return kind == "AlterTableStmt" or bool(getattr(node, "concurrent", False))


def invalid_indexes(connection: Connection, node: Any) -> frozenset[str]:
    """The incomplete indexes of the table on which a statement builds one; none for any other statement."""
    if type(node).__name__ != "IndexStmt":
        return frozenset()
    return frozenset(row["name"] for row in ask(connection, "probes", "invalid", {"table": _name(node.relation)}))


def removal(index: str) -> str:
    """The statement that removes an index whose name is quoted already."""
    return f"DROP INDEX CONCURRENTLY IF EXISTS {index}"


def _index(connection: Connection, node: Any) -> Look:
    if not node.idxname:
        return _UNKNOWN
    rows = ask(connection, "probes", "index", {"table": _name(node.relation), "name": node.idxname})
    if not rows:
        return _NOT_DONE
    return _DONE if rows[0]["valid"] else Look(found=Found.NOT_DONE, debris=(removal(rows[0]["name"]),))


def _drop(connection: Connection, node: Any) -> Look:
    names = [_quoted(*(part.sval for part in parts)) for parts in node.objects]
    there = [name for name in names if _there(connection, "relation", name)]
    return _NOT_DONE if there else _DONE


def _reindex(connection: Connection, node: Any) -> Look:
    schema = node.name if node.kind.name == "REINDEX_OBJECT_SCHEMA" else None
    asked = {"schema": schema, "relation": _name(node.relation) if node.relation else None}
    names = [row["name"] for row in ask(connection, "probes", "leftovers", asked)]
    return Look(found=Found.NOT_DONE, debris=tuple(removal(name) for name in names))


def _detach(connection: Connection, node: Any) -> Look:
    parent, partition = _name(node.relation), _name(node.cmds[0].def_.name)
    rows = ask(connection, "probes", "partition", {"parent": parent, "partition": partition})
    if not rows:
        return _DONE
    finalize = f"ALTER TABLE {parent} DETACH PARTITION {partition} FINALIZE"
    return Look(found=Found.NOT_DONE, instead=finalize if rows[0]["pending"] else "")


def _repeatable(connection: Connection, node: Any) -> Look:
    return _NOT_DONE


def _made(question: str, field: str) -> Probe:
    return lambda connection, node: _DONE if _there(connection, question, getattr(node, field)) else _NOT_DONE


def _dropped(question: str, field: str) -> Probe:
    return lambda connection, node: _NOT_DONE if _there(connection, question, getattr(node, field)) else _DONE


def _subscribed(connection: Connection, node: Any) -> Look:
    """Where there is none, the publisher may have been left with its slot."""
    return _DONE if _there(connection, "subscription", node.subname) else _UNKNOWN


_PROBES: Mapping[str, Probe] = {
    "IndexStmt": _index,
    "DropStmt": _drop,
    "ReindexStmt": _reindex,
    "AlterTableStmt": _detach,
    "VacuumStmt": _repeatable,
    "ClusterStmt": _repeatable,
    "AlterSystemStmt": _repeatable,
    "AlterDatabaseRefreshCollStmt": _repeatable,
    "CreatedbStmt": _made("database", "dbname"),
    "DropdbStmt": _dropped("database", "dbname"),
    "CreateTableSpaceStmt": _made("tablespace", "tablespacename"),
    "DropTableSpaceStmt": _dropped("tablespace", "tablespacename"),
    "CreateSubscriptionStmt": _subscribed,
    "DropSubscriptionStmt": _dropped("subscription", "subname"),
}


def _there(connection: Connection, question: str, name: str) -> bool:
    return bool(ask(connection, "probes", question, {"name": name})[0]["there"])


def _name(relation: Any) -> str:
    return _quoted(*filter(None, (relation.schemaname, relation.relname)))


def _quoted(*parts: str) -> str:
    return sql.Identifier(*parts).as_string(None)
