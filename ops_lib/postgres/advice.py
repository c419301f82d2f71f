"""Index advice: whether an index would spare a scan most of its work, by rules that are functions of plan and facts.

Costs are in the planner's unit, the reading of one page in sequence; they are compared with each other and with nothing
else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

from ops_lib.model.snapshot import IndexState
from ops_lib.postgres.facts import TableFacts
from ops_lib.postgres.plans import Scan
from ops_lib.postgres.predicates import Conditions, columns_of, conditions, is_plain

LARGE_TUPLES = 10_000
WORTH_COST = 1_000.0
WORTH_FACTOR = 5.0
FEW_ROWS = 50.0
MOST_COLUMNS = 3
SELECTIVE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """An index that a scan could use: its columns, how many rows it would find at a time, and both costs."""

    columns: tuple[str, ...]
    matched: float
    selectivity: float
    cost_now: float
    cost_then: float
    assumed: bool = False

    @property
    def factor(self) -> float:
        return self.cost_now / max(self.cost_then, 0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What a scan looks for: in its own filter, and once per row of another table that it is joined to."""

    own: Conditions
    joined: tuple[tuple[Conditions, float], ...]

    @property
    def hidden(self) -> tuple[str, ...]:
        return self.own.hidden

    @property
    def columns(self) -> frozenset[str]:
        sides = (self.own, *(side for side, _ in self.joined))
        return frozenset(name for side in sides for name in (*side.equal, *side.ranges))


def searched(scan: Scan, facts: TableFacts) -> Searched:
    """What a scan compares, by the columns of its table."""
    types = {name: column.type for name, column in facts.columns.items()}
    joined = tuple((conditions([join.condition], scan.alias, types), join.rows) for join in scan.joins)
    return Searched(own=conditions(list(scan.filters), scan.alias, types), joined=joined)


def advise(
    scan: Scan, facts: TableFacts, *, found: float | None = None, answered: float | None = None
) -> Advice | None:
    """The index that would serve a scan best, where one is worth having and none is there that would.

    `found` is how many rows the scan really finds and `answered` how many the statement gives back, where known.
    """
    if facts.tuples < LARGE_TUPLES or scan.cost * scan.loops < WORTH_COST:
        return None
    look = searched(scan, facts)
    candidates = [
        _by_value(scan, facts, look.own),
        _by_range(scan, facts, look.own, found),
        _by_order(scan, facts, look.own, answered),
        *(_by_join(scan, facts, side, rows) for side, rows in look.joined),
    ]
    worth = [one for one in candidates if one and _is_worth(one) and not _served(scan, facts, look, one)]
    return min(worth, key=lambda one: one.cost_then, default=None)


def _is_worth(advice: Advice) -> bool:
    return advice.factor >= WORTH_FACTOR and advice.selectivity <= SELECTIVE


def probe_cost(facts: TableFacts, column: str, matched: float) -> float:
    """What one search through an index costs that finds `matched` rows."""
    per_page = max(1.0, facts.tuples / facts.pages)
    pages = ceil(matched / per_page) if facts.ordered(column) else min(matched, facts.pages)
    return 4.0 + 2.0 * pages + 0.02 * matched


def _chosen(facts: TableFacts, equal: Sequence[str]) -> tuple[tuple[str, ...], float]:
    """The most selective columns, as many as still narrow the search, and the rows that they find together."""
    ordered = sorted((name for name in equal if name in facts.columns), key=facts.selectivity)
    chosen: list[str] = []
    matched = facts.tuples
    for name in ordered[:MOST_COLUMNS]:
        narrowed = matched * facts.selectivity(name)
        if chosen and (matched <= FEW_ROWS or narrowed > matched / 2):
            break
        chosen.append(name)
        matched = narrowed
    return tuple(chosen), matched


def _by_value(scan: Scan, facts: TableFacts, own: Conditions) -> Advice | None:
    chosen, matched = _chosen(facts, own.equal)
    if not chosen:
        return None
    cost = scan.loops * probe_cost(facts, chosen[0], matched)
    more = tuple(name for name in own.ranges[:1] if matched > FEW_ROWS and name in facts.columns)
    order = () if more else _order(scan, facts, chosen, matched)
    return _advice(scan, facts, (*chosen, *more, *order), matched, cost)


def _order(scan: Scan, facts: TableFacts, chosen: Sequence[str], matched: float) -> tuple[str, ...]:
    """The columns of a sort under a LIMIT, which an index behind `chosen` would spare."""
    if scan.limit is None or matched <= FEW_ROWS:
        return ()
    return tuple(name for name in _sorted_by(scan, facts) if name not in chosen)


def _sorted_by(scan: Scan, facts: TableFacts) -> tuple[str, ...]:
    """The plain columns of this table that the rows are sorted by, or nothing."""
    if not scan.sort or not all(is_plain(key) for key in scan.sort) or len({" DESC" in key for key in scan.sort}) > 1:
        return ()
    columns = [column for key in scan.sort for column in columns_of(key)]
    mine = all(alias in (scan.alias, None) and name in facts.columns for alias, name in columns)
    return tuple(name for _, name in columns) if mine else ()


def _by_range(scan: Scan, facts: TableFacts, own: Conditions, found: float | None) -> Advice | None:
    """An interval is selective only where it is known to be: by constants in the plan or by the rows of real calls."""
    names = [name for name in own.ranges if name in facts.columns]
    if own.equal or not names or found is None or found > SELECTIVE * facts.tuples:
        return None
    matched = max(found, 1.0)
    return _advice(scan, facts, names[:1], matched, scan.loops * probe_cost(facts, names[0], matched))


def _by_order(scan: Scan, facts: TableFacts, own: Conditions, answered: float | None) -> Advice | None:
    """The first rows of a sorted table, without a search."""
    keys = _sorted_by(scan, facts)
    limit = min(scan.limit or facts.tuples, answered or facts.tuples)
    if scan.limit is None or not keys or own != Conditions() or limit > SELECTIVE * facts.tuples:
        return None
    return _advice(scan, facts, keys, limit, probe_cost(facts, keys[0], limit))


def _by_join(scan: Scan, facts: TableFacts, side: Conditions, rows: float) -> Advice | None:
    """One search for each row of the other side, instead of one reading of the whole."""
    chosen, matched = _chosen(facts, side.equal)
    if not chosen:
        return None
    return _advice(scan, facts, chosen, matched, scan.loops * rows * probe_cost(facts, chosen[0], matched))


def _advice(scan: Scan, facts: TableFacts, columns: Sequence[str], matched: float, cost: float) -> Advice:
    known = all(facts.columns[name].statistics for name in columns)
    return Advice(
        columns=tuple(columns),
        matched=matched,
        selectivity=min(1.0, matched / max(facts.tuples, 1.0)),
        cost_now=scan.cost * scan.loops,
        cost_then=cost,
        assumed=not known,
    )


def _served(scan: Scan, facts: TableFacts, look: Searched, wanted: Advice) -> bool:
    """Whether an index is there that does the work almost as well; then the plan has another reason."""
    return any(serves(index, facts, look, wanted, scan.loops) for index in facts.indexes)


def serves(index: IndexState, facts: TableFacts, look: Searched, wanted: Advice, loops: float = 1.0) -> bool:
    """Whether an index finds the rows with at most three times the cost of the wanted one."""
    if not index.valid or index.partial:
        return False
    plain = {column.quoted: name for name, column in facts.columns.items()}
    names = [plain.get(column) for column in index.columns]
    if names[: len(wanted.columns)] == list(wanted.columns):
        return True
    times = [(look.own, 1.0), *look.joined]
    return any(_prefix_cost(names, facts, side) * rows * loops <= 3 * wanted.cost_then for side, rows in times)


def _prefix_cost(names: Sequence[str | None], facts: TableFacts, side: Conditions) -> float:
    prefix: list[str] = []
    for name in names:
        if name is None or name not in side.equal:
            break
        prefix.append(name)
    if not prefix:
        return float("inf")
    return probe_cost(facts, prefix[0], facts.tuples * prod(facts.selectivity(name) for name in prefix))
