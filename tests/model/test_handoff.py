"""Handoffs as documents: what is read, what is refused and where, and the id that a resumed run finds again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_lib.model.context import DEEPEST
from ops_lib.model.entries import misshapen
from ops_lib.model.errors import BadInput
from ops_lib.model.handoff import LONGEST, NAMED, Urgency, digest, handoff_id, read_handoff
from ops_lib.model.ledger import Entry, EntryKind, canonical
from ops_lib.model.triggers import TRIGGERS

DONE = {"migration_files": ["a.sql"], "affected_tables": ["raw.a"], "breaking_changes": False}
RUN = "01KDVDNA000000000000000000"


def complete(**changes: Any) -> dict[str, Any]:
    """A migration's handoff with another context."""
    return {"trigger": "database_migration_complete", "context": {**DONE, **changes}}


def test_a_list_of_one_key_mappings_is_a_mapping() -> None:
    """Both forms of a context are the same handoff, and one text is a list of one."""
    listed = {"trigger": "database_migration_complete", "context": [{name: value} for name, value in DONE.items()]}
    assert read_handoff(listed) == read_handoff(complete())
    assert read_handoff({"trigger": "moved", "request": "Look"}).request == ("Look",)
    assert read_handoff({"trigger": "moved", "urgency": "high"}).urgency is Urgency.HIGH


def test_the_order_in_which_something_is_said_makes_no_difference() -> None:
    """The digest is over the canonical form."""
    backwards = {"context": dict(reversed(DONE.items())), "trigger": "database_migration_complete"}
    assert digest(read_handoff(backwards).to_json()) == digest(read_handoff(complete()).to_json())


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (None, "handoff: has no value, expected a mapping with trigger"),
        ([], "expected a mapping with trigger"),
        ({}, "handoff: trigger is missing"),
        ({"trigger": "Not A Word"}, "trigger is 'Not A Word', expected a word such as"),
        ({"trigger": 7}, "trigger is 7, expected text"),
        ({"trigger": "moved", "urgncy": "low"}, "urgncy is not known here, expected urgency"),
        ({"trigger": "moved", "urgency": "now"}, "urgency is 'now', expected low, medium or high"),
        ({"trigger": "moved", "urgency": ["low"]}, r"urgency is \['low'\], expected low, medium or high"),
        ({"trigger": "moved", "to": ""}, "to is '', expected text"),
        ({"trigger": "moved", "to": "a\x1b[2Jb"}, "to is .*, expected the name of a team"),
        ({"trigger": "moved", "request": [{"Update": "x"}]}, r"request\[0\] is .*, expected text"),
        ({"trigger": "moved", "request": 3}, "request is 3, expected a list of texts"),
        ({"trigger": "moved", "context": "all"}, "context is 'all', expected keys with their values"),
        ({"trigger": "moved", "context": ["all"]}, r"context\[0\] is 'all', expected keys with their values"),
        ({"trigger": "moved", "context": [{"a": 1}, {"a": 2}]}, "context.a is given twice"),
        ({"trigger": "moved", "context": {1: 2}}, "context has the key 1, expected a key that is text"),
        ({"trigger": "moved", "context": {"a": float("nan")}}, "context.a is nan"),
        ({"trigger": "moved", "context": {"a": 2**63}}, "context.a is 9223372036854775808"),
        ({"trigger": "moved", "context": {"a": {1, 2}}}, "context.a is {1, 2}"),
        ({"trigger": "moved", "context": {"a": "\ud800"}}, "context.a holds half of a character"),
        ({"trigger": "moved", "context": {"a": [[[[[[1]]]]]]}}, r"context.a\[0\]\[0\]\[0\]\[0\]\[0\]\[0\] is nested"),
        (complete(breaking_changes="maybe"), "context.breaking_changes is 'maybe', expected true or false"),
        (complete(affected_tables="raw.a"), "context.affected_tables is 'raw.a', expected a list of texts"),
        (complete(affected_tables=["raw.a", 7]), r"context.affected_tables\[1\] is 7, expected text"),
        (complete(breaking_change=True), "context.breaking_change is not known here, expected breaking_changes"),
        (complete(performance_impact=None), "context.performance_impact has no value, expected text"),
        ({"trigger": "database_migration_complete"}, "context.migration_files is missing"),
        ({"trigger": "moved", "timeline": "x" * LONGEST}, "longer than 64000 bytes"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(document: Any, said: str) -> None:
    """Each in one line that names the field, what it is, and what was expected."""
    with pytest.raises(BadInput, match=said) as caught:
        read_handoff(document)
    assert "\n" not in str(caught.value)


def test_a_column_is_described() -> None:
    """Its name and its type are demanded; what may be null and its default are not."""
    wanted = {"reason": "new fields", "tables": ["raw.odds"]}
    column = {"column_name": "line", "data_type": "NUMERIC(5,2)", "nullable": False, "default": 0}
    read = read_handoff({"trigger": "schema_change_needed", "context": {**wanted, "new_columns": [column]}})
    assert read.context["new_columns"] == [column]
    for broken, said in (
        ({"column_name": "line"}, r"new_columns\[0\].data_type is missing"),
        ({**column, "nullable": "no"}, r"new_columns\[0\].nullable is 'no', expected true or false"),
        ({**column, "default": []}, r"new_columns\[0\].default is \[\], expected text, a number"),
        ("line", r"new_columns\[0\] is 'line', expected a mapping with column_name, data_type"),
    ):
        with pytest.raises(BadInput, match=said):
            read_handoff({"trigger": "schema_change_needed", "context": {**wanted, "new_columns": [broken]}})


def test_teams_are_known_where_they_were_agreed_on() -> None:
    """What is said goes before what was agreed; nobody is guessed."""
    assert read_handoff(complete()).addressed(None).to_json()["to"] == "etl"
    sent = read_handoff({**complete(), "to": "research"})
    assert (sent.addressed("ops").sender, sent.addressed("ops").recipient) == ("ops", "research")
    assert sent.addressed("ops", "finance").recipient == "finance"
    with pytest.raises(BadInput, match="does not say to whom it goes"):
        read_handoff({"trigger": "moved"}).addressed("ops")
    with pytest.raises(BadInput, match="does not say who sends it"):
        read_handoff({"trigger": "moved", "to": "etl"}).addressed(None)


def test_an_id_belongs_to_its_place_in_its_chain() -> None:
    """Another run, trigger, team or place has another one."""
    ids = {
        handoff_id(run, trigger, to, place)
        for run in (RUN, RUN[:-1] + "1") for trigger in ("a", "b") for to in ("etl", "x") for place in (0, 1)
    }  # fmt: skip
    assert len(ids) == 16
    assert {len(found) for found in ids} == {13}


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        (EntryKind.RESULT, {"files": [], "handoffs": [{"id": "H"}]}, "does not describe its handoffs"),
        (EntryKind.HANDOFF, dict.fromkeys(NAMED, "x"), "does not describe its handoff"),
        (EntryKind.ACKNOWLEDGEMENT, {"id": "H"}, "does not name a handoff"),
        (EntryKind.REJECTION, {"how_known": "x"}, "does not name a handoff"),
        (EntryKind.RESULT, {"files": [], "handoffs": [dict.fromkeys(NAMED, "x")]}, None),
        (EntryKind.REJECTION, {"id": "H", "how_known": "x"}, None),
    ],
)
def test_an_entry_says_which_handoff_it_is_about(kind: EntryKind, body: dict[str, Any], said: str | None) -> None:
    """What lacks something of that is a fault of the ledger."""
    stamp = {"seq": 0, "at": "", "who": "", "body_sha256": "", "prev_sha256": ""}
    assert misshapen(Entry(kind=kind.value, run_id=RUN, body=body, **stamp)) == said


TEXT = st.text(min_size=1, max_size=30).filter(str.strip)
NUMBERS = st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text()


def nested(depth: int) -> st.SearchStrategy[Any]:
    """Values with at most so many lists and mappings in each other."""
    if depth == 0:
        return SCALARS
    inner = nested(depth - 1)
    return SCALARS | st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2)


TEAMS = st.from_regex(r"[a-z]{1,10}", fullmatch=True)
FREE = st.fixed_dictionaries(
    {"trigger": st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True).filter(lambda name: name not in TRIGGERS)},
    optional={
        "from": TEAMS, "to": TEAMS, "context": st.dictionaries(TEXT, nested(DEEPEST), max_size=3), "timeline": TEXT,
        "urgency": st.sampled_from([*Urgency]).map(str), "revert": TEXT | st.lists(TEXT),
        "request": st.lists(TEXT, max_size=3),
    },
)  # fmt: skip


@given(FREE)
def test_the_canonical_form_reads_as_itself(document: dict[str, Any]) -> None:
    """Read once or twice, it is the same, also through JSON."""
    read = read_handoff(document)
    assert read_handoff(read.to_json()) == read
    assert canonical(read_handoff(read.to_json()).to_json()) == canonical(read.to_json())
