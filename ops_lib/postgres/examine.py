"""Examination: the present plans of costly statements, with the facts of the tables that they read.

Statements whose tables somebody holds or awaits alone are left out, and so is everything after a few waits: to explain
a statement takes the lock that a reader takes, and would queue.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ops_lib.model.errors import StatementFailed
from ops_lib.postgres import bodies, questions, snapshot
from ops_lib.postgres.facts import TableFacts, table_facts
from ops_lib.postgres.plans import Plan, Scan, present_plan
from ops_lib.postgres.predicates import Explainable, explainable
from ops_lib.postgres.session import Limits, Session
from ops_lib.postgres.workload import Costly

LIMITS = Limits(statement_ms=1_000, lock_ms=50)
MOST_PLANS = 80
MOST_REFUSALS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A statement with the plan that it has now, or why that could not be seen; `inner` is a search inside a function
    that it calls."""

    statement: Costly
    plan: Plan | None = None
    parameters: int = 0
    inner: bool = False
    unseen: str | None = None

    @property
    def answered(self) -> float | None:
        """How many rows a call answers with on the average, where those are rows that its one scan found."""
        if self.plan is None or self.inner or self.plan.condensed or len(self.plan.scans) != 1:
            return None
        counters = self.statement.now
        return counters.rows / counters.calls if counters.calls >= 3 and not self.statement.sampled else None

    @property
    def found(self) -> float | None:
        """How many rows its one scan finds: by the constants of its plan, or by what it answers without a LIMIT."""
        if self.plan is None or self.inner or len(self.plan.scans) != 1:
            return None
        if not self.parameters:
            return self.plan.scans[0].rows
        return None if self.plan.limited else self.answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """Statements with their plans, the facts of all tables in them, and what could not be seen."""

    examined: tuple[Examined, ...]
    facts: Mapping[tuple[str, str], TableFacts]
    notes: tuple[str, ...]

    def scans(self) -> Iterable[tuple[Examined, Scan, TableFacts]]:
        """Every scan of a user table in every plan."""
        for item in self.examined:
            for scan in item.plan.scans if item.plan else ():
                facts = self.facts.get((scan.schema, scan.table))
                if facts is not None:
                    yield item, scan, facts


def examine(session: Session, statements: Sequence[Costly]) -> Examination:
    """The present plans of these statements; nothing of theirs is executed."""
    taken = _taken(session)
    examined: list[Examined] = []
    with session.bounded(LIMITS):
        for statement in statements:
            if len(examined) >= MOST_PLANS or sum(item.plan is None for item in examined) >= MOST_REFUSALS:
                break
            examined.extend(_examined(session, statement, taken))
        tables = {(scan.schema, scan.table) for item in examined for scan in (item.plan.scans if item.plan else ())}
        facts = table_facts(session, tables)
    return Examination(examined=tuple(examined), facts=facts, notes=_notes(examined))


def _examined(session: Session, statement: Costly, taken: frozenset[str]) -> list[Examined]:
    search = explainable(statement.text)
    if search is None or not _touches_users(search):
        return []
    if locked := taken & {name for _, name in search.relations}:
        return [Examined(statement=statement, unseen=f"{min(locked)} is locked or about to be")]
    inner = bodies.searches(session, search) if search.functions else []
    return [_plan(session, statement, one, inner=one is not search) for one in (search, *inner)]


def _plan(session: Session, statement: Costly, search: Explainable, *, inner: bool) -> Examined:
    try:
        plan = present_plan(session, search, _path(session, search))
    except StatementFailed as error:
        return Examined(statement=statement, unseen=error.message)
    return Examined(statement=statement, plan=plan, parameters=search.parameters, inner=inner)


def _touches_users(search: Explainable) -> bool:
    """Whether a statement reads anything but the server's own catalog."""
    system = ("pg_", "information_schema")
    relations = [(schema, name) for schema, name in search.relations]
    own = [name for schema, name in relations if not (schema or name).startswith(system)]
    return bool(own) or (not relations and bool(search.functions))


def _path(session: Session, search: Explainable) -> str | None:
    """A search_path under which the tables that a statement names without a schema are found."""
    names = [name for schema, name in search.relations if schema is None]
    if not names:
        return None
    rows = session.answer(questions.__name__, snapshot.STEM, "homes", {"relations": names})
    single = dict.fromkeys(row["schemas"][0] for row in rows if len(row["schemas"]) == 1)
    (current,) = session.rows("SELECT current_setting('search_path') AS path")
    return ", ".join([current["path"], *single]) if single else None


def _taken(session: Session) -> frozenset[str]:
    rows = session.answer(questions.__name__, snapshot.STEM, "taken")
    return frozenset(row["relation"] for row in rows)


def _notes(examined: Sequence[Examined]) -> tuple[str, ...]:
    unseen = [item for item in examined if item.unseen]
    if not unseen:
        return ()
    denied = any("permission denied" in (item.unseen or "") for item in unseen)
    hint = ": GRANT pg_read_all_data to this role" if denied else ""
    reasons = sorted({(item.unseen or "").split(": ", 1)[-1] for item in unseen})[:3]
    return (f"plans not visible for {len(unseen)} of {len(examined)} statements ({'; '.join(reasons)}){hint}",)
