"""Approvals as a state machine: whatever people do in whatever order, no run starts that nobody has allowed to.

The machine keeps its own account of what was allowed, in other terms than the rules: who said yes to which
contents, when, and for which runs.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from ops_lib.model.approval import (
    Approval,
    Asking,
    Bound,
    Demand,
    Kind,
    Terms,
    expiry,
    granted,
)
from ops_lib.model.plan import Plan
from tests.crash.report import bound
from tests.figures import SEED, WHOLE, Figures

STEPS = 50_000 if WHOLE else 1_500
EACH = 50
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = ("ana", "ben", "eve")
TARGET = {"name": "prod", "system_identifier": "77", "database": "platform", "guard": "none"}
TERMS = Terms(
    runbook="aa", parameters={"days": 3, "part": "mart"}, target=TARGET, plan=Plan(title="t", statements=("SELECT 1",))
)
seen = {True: 0, False: 0}


@dataclass
class Said:
    """One yes as the machine remembers it: to which contents exactly, and since when."""

    who: str
    kind: Kind
    run: str
    contents: tuple[object, ...]
    until: datetime
    signed: bool
    most_days: int | None = None


def contents(terms: Terms, *, days: bool = True) -> tuple[object, ...]:
    """The terms as plain values; without the days where those were left open."""
    given = [item for item in sorted(terms.parameters.items()) if days or item[0] != "days"]
    where = tuple(terms.target.get(name) for name in ("name", "system_identifier", "database"))
    return (terms.runbook, tuple(given), where, terms.plan.statements)


class Approvals(RuleBasedStateMachine):
    """One target, three people, runs that follow each other, and everything that may happen between them."""

    @initialize(approvals=st.sampled_from((1, 2)), signed=st.booleans(), requester=st.sampled_from(PEOPLE))
    def begin(self, approvals: int, signed: bool, requester: str) -> None:
        self.demand = Demand(approvals=approvals, signed=signed)
        self.now, self.terms = NOW, TERMS
        self.runs, self.requesters = ["R0"], {requester}
        self.entries: list[Approval] = []
        self.said: list[Said] = []
        self.number = 0

    def asking(self) -> Asking:
        return Asking(
            terms=self.terms, demand=self.demand, requesters=frozenset(self.requesters), runs=frozenset(self.runs)
        )

    @rule(who=st.sampled_from(PEOPLE), hours=st.integers(1, 48), signed=st.booleans())
    def approve(self, who: str, hours: int, signed: bool) -> None:
        self.enter(who, Kind.ONCE, timedelta(hours=hours), signed)

    @rule(who=st.sampled_from(PEOPLE), days=st.integers(1, 60), signed=st.booleans(), most=st.integers(0, 9))
    def approve_for_good(self, who: str, days: int, signed: bool, most: int) -> None:
        self.enter(who, Kind.STANDING, timedelta(days=days), signed, most)

    @rule(who=st.sampled_from(PEOPLE))
    def break_glass(self, who: str) -> None:
        self.enter(who, Kind.BREAK_GLASS, None, signed=False)

    def enter(self, who: str, kind: Kind, length: timedelta | None, signed: bool, most: int | None = None) -> None:
        bounds = {} if most is None else {"days": Bound(least=None, most=most)}
        until = expiry(self.now, length, kind)
        self.entries.append(
            Approval(
                digest=self.terms.digest(bounds),
                who=who,
                how_known="test",
                at=self.now,
                expires_at=until,
                kind=kind,
                run_id=self.runs[-1],
                signed=signed,
                bounds=bounds,
            )
        )
        exactly = contents(self.terms, days=most is None)
        self.said.append(Said(who, kind, self.runs[-1], exactly, until, signed, most))

    @rule(hours=st.integers(1, 200))
    def time_goes_by(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(
        what=st.sampled_from(("runbook", "days", "part", "target", "database", "plan", "back")), days=st.integers(0, 12)
    )
    def change(self, what: str, days: int) -> None:
        given = self.terms.parameters
        changes = {
            "runbook": {"runbook": "bb"},
            "days": {"parameters": {**given, "days": days}},
            "part": {"parameters": {**given, "part": "raw"}},
            "target": {"target": {**TARGET, "system_identifier": "78"}},
            "database": {"target": {**TARGET, "database": "other"}},
            "plan": {"plan": Plan(title="t", statements=("SELECT 2",))},
            "back": {"runbook": "aa", "parameters": TERMS.parameters, "target": TARGET, "plan": TERMS.plan},
        }
        self.terms = replace(self.terms, **changes[what])

    @rule(who=st.sampled_from(PEOPLE))
    def resume(self, who: str) -> None:
        self.number += 1
        self.runs.append(f"R{self.number}")
        self.requesters.add(who)

    @rule(who=st.sampled_from(PEOPLE))
    def another_run(self, who: str) -> None:
        self.number += 1
        self.runs, self.requesters = [f"R{self.number}"], {who}

    @precondition(lambda self: self.entries)
    @rule(place=st.integers(0, 30))
    def a_key_is_withdrawn(self, place: int) -> None:
        at = place % len(self.entries)
        self.entries[at] = replace(self.entries[at], signed=False)
        self.said[at].signed = False

    @rule()
    def start(self) -> None:
        """The gate opens exactly where the machine's own account says that it may."""
        given = granted(self.asking(), self.entries, self.now)
        seen[given is not None] += 1
        assert (given is not None) == self.allowed(), (self.terms, self.said)

    def allowed(self) -> bool:
        valid = [said for said in self.said if self.now < said.until and self.fits(said)]
        if any(said.kind is Kind.BREAK_GLASS for said in valid):
            return True
        who = {said.who for said in valid if said.signed or not self.demand.signed}
        if self.demand.approvals == 2:
            who -= self.requesters
        return len(who) >= self.demand.approvals

    def fits(self, said: Said) -> bool:
        if said.kind is not Kind.STANDING:
            return said.run in self.runs and said.contents == contents(self.terms)
        days = self.terms.parameters["days"]
        return said.contents == contents(self.terms, days=False) and days <= (said.most_days or 0)

    def teardown(self) -> None:
        if hasattr(self, "demand"):
            self.start()


def test_no_run_starts_that_nobody_has_allowed(figures: Figures) -> None:
    """Approve, expire, change, resume, break the glass, three people, in any order."""
    examples = STEPS // EACH
    wanted = settings(
        max_examples=examples,
        stateful_step_count=EACH,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(SEED)(Approvals), settings=wanted)
    opened = {"opened": seen[True], "shut": seen[False]}
    figures.add("approvals", steps=examples * EACH, **opened, wrong=0, bound=bound(0, examples * EACH))
    assert all(seen.values()), "a gate that never opens, or never stays shut, was not tried"
