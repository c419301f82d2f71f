"""Facts about tables: what catalog and statistics say about the tables that a plan reads, without a lock on them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ops_lib.model.snapshot import ColumnStatistics, IndexState, TableState
from ops_lib.postgres import questions, snapshot
from ops_lib.postgres.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its name as SQL writes it, its type, and what the planner believes about it."""

    quoted: str
    type: str
    statistics: ColumnStatistics | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """A table as an adviser sees it. `root` is what it is a partition of, or itself; columns are by their plain name.

    `indexes` keep their columns as SQL writes them.
    """

    name: str
    root: str
    partitioned: bool
    state: TableState
    columns: Mapping[str, Column]
    indexes: tuple[IndexState, ...]

    @property
    def tuples(self) -> float:
        """How many rows there are, as well as it is known without counting.

        The counter of live rows runs ahead of ANALYZE by what one load added, so it is believed only far above it.
        """
        analyzed, live = self.state.tuples, float(self.state.live)
        return live if analyzed <= 0 or live > 2.5 * analyzed else analyzed

    @property
    def pages(self) -> int:
        return max(self.state.pages, 1)

    def selectivity(self, column: str) -> float:
        """The share of rows that a search for one value of this column finds; the planner's default where unknown."""
        known = self.columns[column].statistics if column in self.columns else None
        if known is None:
            return UNKNOWN_SELECTIVITY
        distinct = known.distinct if known.distinct > 0 else -known.distinct * max(self.tuples, 1.0)
        return (1 - known.null_share) / max(distinct, 1.0)

    def ordered(self, column: str) -> bool:
        """Whether rows with one value of this column lie beside each other."""
        known = self.columns[column].statistics if column in self.columns else None
        return known is not None and abs(known.correlation or 0.0) > 0.9

    def quoted(self, columns: Iterable[str]) -> tuple[str, ...]:
        return tuple(self.columns[column].quoted for column in columns)


UNKNOWN_SELECTIVITY = 0.005


def table_facts(session: Session, tables: Iterable[tuple[str, str]]) -> dict[tuple[str, str], TableFacts]:
    """Facts by schema and name, for user tables only."""
    wanted = sorted(set(tables))
    if not wanted:
        return {}
    places = {"schemas": [schema for schema, _ in wanted], "relations": [name for _, name in wanted]}
    relations = session.answer(questions.__name__, snapshot.STEM, "relations", places)
    names = sorted({row["name"] for row in relations})
    states = {state.name: state for state in snapshot.tables(session, names)}
    indexes = snapshot.indexes(session, names)
    believed = {(item.table, item.name): item for item in snapshot.columns(session, names)}
    return {
        (row["schema"], row["relation"]): TableFacts(
            name=row["name"],
            root=row["root"],
            partitioned=row["root_kind"] == "p",
            state=states[row["name"]],
            columns={
                plain: Column(quoted=quoted, type=kind, statistics=believed.get((row["name"], quoted)))
                for plain, (quoted, kind) in (row["columns"] or {}).items()
            },
            indexes=tuple(index for index in indexes if index.table == row["name"]),
        )
        for row in relations
        if row["name"] in states
    }
