"""What a statement searches by, and the form in which its plan can be asked for."""

import pytest

from ops_lib.postgres.predicates import Conditions, conditions, explainable


@pytest.mark.parametrize(
    ("text", "search"),
    [
        ("UPDATE a SET b = b + $1 WHERE c = $2", "SELECT 1 FROM a WHERE c = $1"),
        ("DELETE FROM a USING b WHERE a.i = b.i AND b.j = $1", "SELECT 1 FROM a, b WHERE a.i = b.i AND b.j = $1"),
        ("INSERT INTO t SELECT * FROM u WHERE k = $1", "SELECT * FROM u WHERE k = $1"),
        ("SELECT * FROM a WHERE i = $1 FOR UPDATE", "SELECT * FROM a WHERE i = $1"),
        ("SELECT * FROM a WHERE i IN ($1 /*, ... */)", "SELECT * FROM a WHERE i IN ($1)"),
        ("SELECT * FROM a WHERE t > now() - interval $1", "SELECT * FROM a WHERE t > now() - CAST($1 AS interval)"),
        (
            "WITH x AS (DELETE FROM a WHERE b = $2 RETURNING *) SELECT * FROM x",
            "WITH x AS (SELECT * FROM a WHERE b = $1) SELECT * FROM x",
        ),
        ("DECLARE c CURSOR FOR SELECT * FROM t", "SELECT * FROM t"),
    ],
)  # fmt: skip
def test_a_statement_as_its_search(text: str, search: str) -> None:
    """What changes something is explained as the search for what it changes."""
    found = explainable(text)
    assert found is not None
    assert found.sql == search


@pytest.mark.parametrize("text", ["INSERT INTO t VALUES ($1)", "VACUUM", "BEGIN", "SELECT * FROM t WHERE", "<hidden>"])
def test_what_does_not_search_has_no_plan(text: str) -> None:
    """Utilities, plain inserts, and texts that were cut off."""
    assert explainable(text) is None


TYPES = {"at": "timestamp with time zone", "kind": "character varying(20)", "code": "character(3)", "dev": "bigint"}


@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        ("(t.dev = $1)", Conditions(equal=("dev",))),
        ("($1 = t.dev)", Conditions(equal=("dev",))),
        ("((t.dev = ANY ($1)) AND (t.at >= $2) AND (t.at <= $3))", Conditions(equal=("dev",), ranges=("at",))),
        ("(t.dev = other.id)", Conditions(equal=("dev",))),
        ("((t.at)::date = $1)", Conditions(hidden=("at",))),
        ("(lower(t.name) = $1)", Conditions(hidden=("name",))),
        ("((t.dev)::numeric = $1)", Conditions(hidden=("dev",))),
        ("((t.kind)::text = 'a'::text)", Conditions(equal=("kind",))),
        ("((t.code)::text = 'a'::text)", Conditions(hidden=("code",))),
        ("((t.dev = 1) OR (t.at = $1))", Conditions()),
        ("(t.dev = t.other)", Conditions()),
        ("(other.dev = 5)", Conditions()),
        ("((t.dev = (InitPlan 1).col1) AND (NOT (hashed SubPlan 2)))", Conditions(equal=("dev",))),
        ("(t.dev <> 5)", Conditions()),
    ],
)
def test_conditions_of_a_filter(filter_: str, found: Conditions) -> None:
    """Only a plain column that is compared with something else can be served by a plain index."""
    assert conditions([filter_], "t", TYPES) == found
