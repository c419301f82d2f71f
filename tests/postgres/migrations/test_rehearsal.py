"""Rehearsals: what each statement did to a copy, and whether the way back leads back."""

import json
from pathlib import Path

import pytest

from ops_lib.model.errors import OpsError, Refused
from ops_lib.model.migration import Direction, Migration, Script
from ops_lib.model.rehearsal import Lock, Rehearsal, WayBack
from ops_lib.model.target import Login
from ops_lib.postgres.migrations.rehearsal import CLOSELY, rehearse, rehearse_revert
from ops_lib.postgres.migrations.schema import dump
from ops_lib.postgres.migrations.trace import traced
from tests.postgres.conftest import execute

BEFORE = """
    CREATE TABLE games (id integer PRIMARY KEY, wind text);
    INSERT INTO games SELECT n, n FROM generate_series(1, 2000) n;
"""
_versions = iter(range(1, 10_000))


def migration(up: str, down: str | None = None, verify: str | None = None, *, repeated: bool = False) -> Migration:
    version = f"{next(_versions):04d}"

    def script(text: str, kind: str = "") -> Script:
        return Script(file=Path(f"{version}{kind}.sql"), text=text)

    return Migration(
        version=version, description="x", up=script(up), down=script(down, ".revert") if down is not None else None,
        verify=script(verify, ".verify") if verify else None, repeated=repeated,
    )  # fmt: skip


@pytest.fixture
def copy(database: Login) -> Login:
    """A database with a table that has rows."""
    execute(database, BEFORE)
    return database


def test_each_statement_is_traced(copy: Login) -> None:
    """Locks on what was there before, tables that are rewritten, time and log; nothing about what is new."""
    (add, build, change, new) = traced(copy, Script(file=Path("a.sql"), text="""
        ALTER TABLE games ADD COLUMN rain integer;
        CREATE INDEX ON games (wind);
        ALTER TABLE games ALTER wind TYPE integer USING wind::integer;
        CREATE TABLE other (id integer REFERENCES games (id));
    """))  # fmt: skip
    assert [each.line for each in (add, build, change, new)] == [2, 3, 4, 5]
    assert add.locks == (Lock(relation="public.games", mode="ACCESS EXCLUSIVE"),)
    assert build.locks[0].mode == "SHARE"
    assert (add.rewrites, build.rewrites, change.rewrites, new.rewrites) == ((), (), ("public.games",), ())
    assert change.wal_bytes > add.wal_bytes > 0
    assert all(each.seconds > 0 for each in (add, build, change, new))
    assert not any(lock.relation == "public.other" for each in (add, build, change, new) for lock in each.locks)


def test_a_statement_outside_of_transactions_is_watched_from_outside(copy: Login) -> None:
    """The lock of an index that is built concurrently is seen while it is built."""
    execute(copy, "INSERT INTO games SELECT n, n FROM generate_series(2001, 200000) n")
    (build,) = traced(copy, Script(file=Path("a.sql"), text="CREATE INDEX CONCURRENTLY ON games (wind)"))
    assert Lock(relation="public.games", mode="SHARE UPDATE EXCLUSIVE") in build.locks
    assert build.rewrites == ()


def test_emptying_a_table_is_no_rewrite(copy: Login) -> None:
    """TRUNCATE takes the strongest lock and writes no row anew."""
    (empty,) = traced(copy, Script(file=Path("a.sql"), text="TRUNCATE games"))
    assert empty.rewrites == ()
    assert Lock(relation="public.games", mode="ACCESS EXCLUSIVE") in empty.locks


def test_up_down_and_up_again(copy: Login) -> None:
    """Every file leads back, by its revert or a derived one; the copy ends as it is after all of them."""
    told: list[tuple[int, int, str]] = []
    done = rehearse(
        copy,
        [
            migration(
                "ALTER TABLE games ADD rain integer", "ALTER TABLE games DROP rain", "SELECT count(*) = 2000 FROM games"
            ),
            migration("CREATE TABLE teams (id integer PRIMARY KEY)"),
            migration("CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'", repeated=True),
            migration("CREATE INDEX CONCURRENTLY games_rain ON games (rain)", "DROP INDEX CONCURRENTLY games_rain"),
        ],
        progress=lambda *each: told.append(each),
    )  # fmt: skip
    assert [each.revert for each in done.files] == [WayBack.FILE, WayBack.DERIVED, WayBack.FILE, WayBack.NONE]
    assert [each.restored for each in done.files] == [True, True, True, None]
    assert [each.verified for each in done.files] == [True, None, None, None]
    assert done.files[1].derived == "DROP TABLE public.teams;\n"
    assert all(each.revert_seconds for each in done.files[:3])
    assert done.again == ()
    assert set(done.changes) == {
        "column public.games.rain (integer) is new", "function public.one() is new", "index public.games_rain is new",
        "table public.teams is new",
    }  # fmt: skip
    assert done.digest == dump(copy).digest
    assert [each[0] for each in told] == list(range(10))
    assert told[-1][1] == 10


def test_the_answer_of_a_step_reads_back(copy: Login) -> None:
    """What a resumed run is given in JSON is the same rehearsal."""
    done = rehearse(copy, [migration("ALTER TABLE games ALTER wind TYPE integer USING wind::integer"),
                           migration("CREATE TABLE t (a int)", "DROP TABLE t", "SELECT false AS wrong")])  # fmt: skip
    text = json.loads(json.dumps(done.to_json()))
    assert Rehearsal.from_json(text) == done
    assert {"name", "seconds", "wal_bytes", "locks", "rewrites", "revert", "revert_seconds", "restored", "difference",
            "verified"} <= text["files"][0].keys()  # fmt: skip
    assert text["files"][0]["locks"][0] == {"relation": "public.games", "mode": "ACCESS EXCLUSIVE"}


def test_the_way_back_ends_where_there_is_none(copy: Login) -> None:
    """What loses data needs SOP-002; what comes before it is not tried, what comes after it is."""
    done = rehearse(copy, [
        migration("CREATE TABLE a (a int)", "DROP TABLE a"),
        migration("DELETE FROM games"),
        migration("CREATE TABLE b (a int)", "DROP TABLE b"),
    ])  # fmt: skip
    assert [each.restored for each in done.files] == [None, None, True]
    assert done.files[1].revert is WayBack.NONE
    assert "line 1 deletes rows" in str(done.files[1].needs)
    assert "SOP-002" in str(done.files[1].needs)
    assert done.files[0].difference == ("not tried, since the way back ends before it",)
    assert done.again == ()


@pytest.mark.parametrize(
    ("down", "said"),
    [
        ("ALTER TABLE games DROP COLUMN rain", "column public.games.snow (integer) was not dropped"),
        ("SELECT 1;\nDROP TABLE nothing", "line 2: table \"nothing\" does not exist"),
        ("ALTER TABLE games DROP rain, DROP snow, DROP wind", "column public.games.wind (text) was not restored"),
    ],
)  # fmt: skip
def test_a_way_back_that_does_not_lead_back_is_told(copy: Login, down: str, said: str) -> None:
    """With what it leaves, what it takes too much, or what the server says against it."""
    done = rehearse(copy, [migration("ALTER TABLE games ADD rain integer, ADD snow integer", down)])
    assert done.files[0].restored is False
    assert said in done.files[0].difference[0]


def test_a_second_time_that_is_another_is_told(copy: Login) -> None:
    """What cannot be applied again, since its way back leaves rows behind, is found."""
    up = "CREATE TABLE IF NOT EXISTS t (a int); INSERT INTO games VALUES (9999, 'x')"
    done = rehearse(copy, [migration(up, "DROP TABLE t")])
    assert done.files[0].restored is True
    assert "duplicate key" in done.again[0]


def test_a_proof_that_does_not_hold_is_told(copy: Login) -> None:
    """Each statement must succeed, no row may say false, and a proof cannot change anything."""
    held, false, failing, changing = (
        migration("SELECT 1", "SELECT 1", proof)
        for proof in (
            "SELECT true, NULL::boolean, 0 AS n; SELECT 'f'",
            "SELECT 1;\nSELECT id > 1 AS big, id FROM games ORDER BY id DESC",
            "SELECT 1;\nSELECT none FROM games",
            "DELETE FROM games",
        )
    )
    done = rehearse(copy, [held, false, failing, changing])
    assert [each.verified for each in done.files] == [True, False, False, False]
    assert [each.problem for each in done.files][:2] == [None, f"{false.version}.verify.sql, line 2: big is false"]
    assert "line 2" in str(done.files[2].problem)
    assert "read-only" in str(done.files[3].problem)


def test_what_does_not_apply_ends_the_rehearsal(copy: Login) -> None:
    """With file and line, also where only the commit fails."""
    with pytest.raises(OpsError, match=r"\.sql, line 2: relation .nothing. does not exist"):
        rehearse(copy, [migration("SELECT 1;\nSELECT * FROM nothing")])
    deferred = "ALTER TABLE games ADD UNIQUE (wind) DEFERRABLE INITIALLY DEFERRED;\nUPDATE games SET wind = '1'"
    with pytest.raises(OpsError, match=r"\.sql, line 2: duplicate key"):
        rehearse(copy, [migration(deferred)])


def test_somebody_else_acts_on_the_copy(copy: Login) -> None:
    """What the role of the target may not do fails on the copy already, and what it makes is its own."""
    execute(copy, "CREATE ROLE migrator; GRANT CREATE ON SCHEMA public TO migrator")
    try:
        rehearse(copy, [migration("CREATE TABLE mine (a int)", "DROP TABLE mine")], role="migrator")
        assert "OWNER TO migrator" in dump(copy).parts["table public.mine"]
        with pytest.raises(OpsError, match="must be owner of table games"):
            rehearse(copy, [migration("ALTER TABLE games ADD rain integer")], role="migrator")
    finally:
        execute(copy, "DROP OWNED BY migrator; DROP ROLE migrator")


def test_the_way_back_as_the_change_itself(copy: Login) -> None:
    """Reverted from the latest, then applied again to what had been there."""
    first = migration("ALTER TABLE games ADD rain integer", "ALTER TABLE games DROP rain")
    second = migration("CREATE INDEX games_rain ON games (rain)", "DROP INDEX games_rain")
    execute(copy, first.up.text, second.up.text)
    done = rehearse_revert(copy, [second, first])
    assert done.direction is Direction.REVERT
    assert [each.restored for each in done.files] == [True, True]
    assert done.changes == ("column public.games.rain (integer) is gone", "index public.games_rain is gone")
    assert done.files[1].locks == (Lock(relation="public.games", mode="ACCESS EXCLUSIVE"),)
    with pytest.raises(Refused, match="has no revert"):
        rehearse_revert(copy, [migration("SELECT 1")])


def test_many_are_compared_at_both_ends(copy: Login) -> None:
    """Of more than can be looked at one by one, the whole way back is; where it ends early that is said of each."""
    many = [migration(f"CREATE TABLE t{n} (n int)", f"DROP TABLE t{n}") for n in range(CLOSELY + 1)]
    rehearsal = rehearse(copy, many)
    assert all(each.restored for each in rehearsal.files)
    assert len(rehearsal.changes) == len(many)
    left = [
        *many[:-1],
        migration(f"CREATE TABLE t{CLOSELY} (n int); CREATE TABLE more (n int)", f"DROP TABLE t{CLOSELY}"),
    ]
    execute(copy, *(f"DROP TABLE t{n}" for n in range(CLOSELY + 1)))
    rehearsal = rehearse(copy, left)
    assert {each.restored for each in rehearsal.files} == {False}
    assert "more was not dropped" in rehearsal.files[0].difference[0]
