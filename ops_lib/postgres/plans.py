"""Plans: how the server would run a statement now, as the scans that a person would look at first.

Nothing is executed: EXPLAIN without ANALYZE, in a read-only transaction, for the parameters that any call could have.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ops_lib.postgres.predicates import Explainable
from ops_lib.postgres.session import Session

_SCANS = frozenset({"Seq Scan", "Bitmap Heap Scan", "Index Scan", "Index Only Scan"})
_CONDITIONS = ("Filter", "Index Cond", "Recheck Cond")
_JOINS = ("Hash Cond", "Merge Cond", "Join Filter")
_TRANSPARENT = frozenset(
    {"Hash", "Sort", "Gather", "Gather Merge", "Append", "Materialize", "Memoize", "Incremental Sort"}
)
_CONDENSING = frozenset({"Aggregate", "Group", "Unique", "SetOp"})
GENERIC_PLAN_SINCE = 160_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """A condition that joins a scan to another side, and how many rows that side is thought to have."""

    condition: str
    rows: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One reading of a table in a plan. `cost` is that of a single reading; it is read `loops` times."""

    schema: str
    table: str
    alias: str
    kind: str
    cost: float
    rows: float
    loops: float = 1.0
    filters: tuple[str, ...] = ()
    joins: tuple[Join, ...] = ()
    sort: tuple[str, ...] = ()
    limit: float | None = None
    index: str | None = None

    @property
    def sequential(self) -> bool:
        return self.kind == "Seq Scan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole cost of a statement and its scans; `condensed` where it answers with other rows than it found,
    `limited` where with the first of them.
    """

    cost: float
    rows: float
    scans: tuple[Scan, ...]
    condensed: bool = False
    limited: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where in a plan a node stands: what is above it that a scan may profit from."""

    loops: float = 1.0
    joins: tuple[Join, ...] = ()
    sort: tuple[str, ...] = ()
    limit: float | None = None


def present_plan(session: Session, search: Explainable, path: str | None = None) -> Plan:
    """The plan that the server makes now; a statement that it does not plan raises `StatementFailed`.

    `path` is a search_path for statements that name tables without their schema.
    """
    generic = session.connection.info.server_version >= GENERIC_PLAN_SINCE
    options = "GENERIC_PLAN, VERBOSE, FORMAT JSON" if generic and search.parameters else "VERBOSE, FORMAT JSON"
    try:
        with session.read_only():
            if path:
                session.rows("SELECT set_config('search_path', %(path)s, true)", {"path": path})
            run = search.sql if generic or not search.parameters else _prepared(session, search)
            rows = session.rows(f"EXPLAIN ({options}) {run}")
    finally:
        if not generic and not session.lost:
            session.rows("DEALLOCATE ALL")
    return read(rows[0]["QUERY PLAN"])


def _prepared(session: Session, search: Explainable) -> str:
    """What to explain where EXPLAIN has no option for the generic plan: that of a prepared statement."""
    session.rows("SET LOCAL plan_cache_mode = force_generic_plan")
    session.rows(f"PREPARE runbook_plan AS {search.sql}")
    return f"EXECUTE runbook_plan({', '.join(['NULL'] * search.parameters)})"


def read(document: list[Mapping[str, Any]]) -> Plan:
    """A plan in EXPLAIN's JSON as its cost and its scans."""
    top = document[0]["Plan"]
    scans = tuple(_scans(top, _Place()))
    kinds = {node["Node Type"] for node in _nodes(top)}
    return Plan(
        cost=top["Total Cost"],
        rows=top["Plan Rows"],
        scans=scans,
        condensed=bool(kinds & _CONDENSING),
        limited="Limit" in kinds,
    )


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _scans(node: Mapping[str, Any], place: _Place) -> Iterator[Scan]:
    if node["Node Type"] in _SCANS and "Relation Name" in node:
        yield _scan(node, place)
    children = node.get("Plans", ())
    for child in children:
        yield from _scans(child, _below(node, child, place))


def _scan(node: Mapping[str, Any], place: _Place) -> Scan:
    return Scan(
        schema=node.get("Schema", ""),
        table=node["Relation Name"],
        alias=node["Alias"],
        kind=node["Node Type"],
        cost=node["Total Cost"],
        rows=node["Plan Rows"],
        loops=place.loops,
        filters=tuple(node[name] for name in _CONDITIONS if name in node),
        joins=place.joins,
        sort=place.sort,
        limit=place.limit,
        index=node.get("Index Name") or _bitmap(node),
    )


def _bitmap(node: Mapping[str, Any]) -> str | None:
    names = [child["Index Name"] for child in node.get("Plans", ()) if "Index Name" in child]
    return names[0] if names else None


def _below(node: Mapping[str, Any], child: Mapping[str, Any], place: _Place) -> _Place:
    """The place of a child, given that of its parent."""
    kind, relation = node["Node Type"], child.get("Parent Relationship")
    if relation == "InitPlan":
        return _Place()
    if relation == "SubPlan":
        return _Place(loops=place.loops * _repeats(node, child))
    if kind in ("Hash Join", "Merge Join", "Nested Loop"):
        return _joined(node, child, place)
    if kind == "Limit":
        return _Place(loops=place.loops, limit=node["Plan Rows"])
    if kind == "Sort":
        return replace(place, sort=tuple(node["Sort Key"]))
    if kind in _TRANSPARENT or kind in _SCANS:
        return place
    return _Place(loops=place.loops)


def _repeats(node: Mapping[str, Any], child: Mapping[str, Any]) -> float:
    """How often a sub-plan runs: once where its answer is hashed, else for each row of its parent."""
    name = child.get("Subplan Name", "")
    hashed = any(f"hashed {name}" in str(value) for value in node.values() if not isinstance(value, dict))
    return 1.0 if hashed else max(1.0, node["Plan Rows"])


def _joined(node: Mapping[str, Any], child: Mapping[str, Any], place: _Place) -> _Place:
    outer, inner = node["Plans"][0], node["Plans"][1]
    other = inner if child is outer else outer
    joins = tuple(Join(condition=node[name], rows=other["Plan Rows"]) for name in _JOINS if name in node)
    repeated = (
        node["Node Type"] == "Nested Loop" and child is inner and child["Node Type"] not in ("Materialize", "Memoize")
    )
    loops = place.loops * (max(1.0, outer["Plan Rows"]) if repeated else 1.0)
    return _Place(loops=loops, joins=joins)
