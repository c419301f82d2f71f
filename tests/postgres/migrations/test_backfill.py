"""Large updates go in small batches, nobody waits for them, and no row is changed twice, whatever dies."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from ops_lib.model.errors import BadInput, OpsError, Refused, TargetLost, TargetUnreachable
from ops_lib.model.rollout import Limits
from ops_lib.model.target import Login
from ops_lib.postgres.migrations import backfill
from ops_lib.postgres.migrations.backfill import Backfill, Filled
from tests.postgres.conftest import Person, execute
from tests.postgres.migrations.rollouts import NAME, changing, end_backends, value

ONE_MORE = Backfill(table="t", assign="n = n + 1")
COUNTS = "SELECT array_agg(DISTINCT n ORDER BY n) FROM t"


def make(login: Login, rows: int = 5000) -> None:
    """A table whose rows count how often each was changed."""
    execute(
        login,
        "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0)",
        f"INSERT INTO t SELECT n * 3 FROM generate_series(1, {rows}) AS n",
    )


def fill(
    login: Login,
    what: Backfill = ONE_MORE,
    *,
    limits: Limits | None = None,
    tell: Callable[[str], None] = lambda text: None,
    name: str = NAME,
) -> Filled:
    """In a session of its own."""
    with changing(login, name) as session:
        return backfill.fill(session, what, limits=limits, tell=tell)


def test_each_row_is_changed_once_in_many_batches(database: Login) -> None:
    """Also where it is asked for again: it is found done, with the figures of all its runs."""
    make(database)
    told: list[str] = []
    first, again = fill(database, tell=told.append), fill(database)
    assert value(database, COUNTS) == [1]
    assert (first.passed, first.changed) == (again.passed, again.changed) == (5000, 5000)
    assert first.batches == again.batches > 1
    assert "of about 5,000 rows" in told[0]


def test_only_rows_that_match_are_changed(database: Login) -> None:
    """The dry run counts them; braces, percent signs and comments in SQL are what they are."""
    make(database)
    odd = Backfill(table="public.t", assign="n = length('{}') -- two", where="id % 2 = 1 OR id < 0 -- odd")
    with changing(database) as session:
        assert backfill.count(session, odd) == 2500
    assert fill(database, odd).changed == 2500
    assert value(database, "SELECT count(*) FROM t WHERE n = 2 AND id % 2 = 1") == 2500
    assert value(database, COUNTS) == [0, 2]


def test_an_empty_table_is_done_at_once(database: Login) -> None:
    """Nothing to do is no error, however often."""
    make(database, rows=0)
    assert [(done.passed, done.batches) for done in (fill(database), fill(database))] == [(0, 0), (0, 0)]


KEYS = {
    "text": ("k text PRIMARY KEY", "SELECT 'it''s ' || n"),
    "uuid": ("k uuid PRIMARY KEY", "SELECT gen_random_uuid()"),
    "time": ("k timestamptz PRIMARY KEY", "SELECT now() + n * interval '1.000001 s'"),
    "two columns": ("a text, b numeric(10, 2), PRIMARY KEY (a, b)", "SELECT n % 7, n / 3.0"),
    "a quoted type": ('k "odd, type" PRIMARY KEY', "SELECT n"),
    "partitions": ("k int PRIMARY KEY", "SELECT n"),
}


@pytest.mark.parametrize(("columns", "rows"), KEYS.values(), ids=KEYS.keys())
def test_keys_of_any_type_lead_through_the_table(
    database: Login, request: pytest.FixtureRequest, columns: str, rows: str
) -> None:
    """Text, times, identifiers, several columns and partitions: every row once."""
    parted = "partitions" in request.node.name
    execute(database, 'CREATE DOMAIN "odd, type" AS int')
    execute(database, f"CREATE TABLE t ({columns}, n int DEFAULT 0) {'PARTITION BY HASH (k)' if parted else ''}")
    if parted:
        for part in (0, 1):
            execute(database, f"CREATE TABLE t{part} PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER {part})")
    execute(database, f"INSERT INTO t {rows} FROM generate_series(1, 300) AS n")
    done = fill(database, Backfill(table="t", assign="n = n + 1", batch_rows=17))
    assert (done.passed, value(database, COUNTS)) == (300, [1])


def test_a_key_that_is_not_unique_is_refused(database: Login) -> None:
    """Rows that cannot be told apart could be passed over or changed twice; so could those whose key changes."""
    execute(database, "CREATE TABLE t (a int, b int NOT NULL, n int DEFAULT 0)", "CREATE UNIQUE INDEX ON t (a)")
    with pytest.raises(BadInput, match="no unique index on a primary key"):
        fill(database)
    with pytest.raises(BadInput, match="no unique index on a"):
        fill(database, Backfill(table="t", assign="n = 1", key=("a",)))
    execute(database, "CREATE UNIQUE INDEX ON t (b)")
    assert fill(database, Backfill(table="t", assign="n = 1", key=("b",))).passed == 0
    with pytest.raises(BadInput, match="changes b, by which its rows are taken"):
        fill(database, Backfill(table="t", assign="b = b + 1", key=("b",)))


@pytest.mark.parametrize("assign", ["n = 1; DELETE FROM t", "n = 1 FROM u", "n ="])
def test_what_is_not_one_update_is_refused(database: Login, assign: str) -> None:
    """Before anything is sent to the server."""
    make(database, rows=3)
    with pytest.raises(BadInput):
        fill(database, Backfill(table="t", assign=assign))
    assert value(database, COUNTS) == [0]


def test_batches_grow_and_shrink_to_their_time(database: Login) -> None:
    """A quick table is passed in few batches, a slow one in many."""
    make(database, rows=1000)
    quick = fill(database, Backfill(table="t", assign="n = 1", batch_rows=10, batch_ms=10_000))
    slow = fill(database, Backfill(table="t", assign="n = 2", batch_rows=400, batch_ms=1))
    assert quick.batches <= 7
    assert slow.batches > 20


def test_rows_that_come_behind_the_end_do_not_keep_it_going(database: Login) -> None:
    """What the application writes after the beginning is its own affair."""
    make(database, rows=100)
    execute(database, "CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN INSERT INTO t SELECT max(id) + 1 FROM t; RETURN NULL; END'",
            "CREATE TRIGGER more AFTER UPDATE ON t FOR EACH STATEMENT EXECUTE FUNCTION more()")  # fmt: skip
    done = fill(database, Backfill(table="t", assign="n = n + 1", batch_rows=10, batch_ms=0.001))
    assert done.passed == 100
    assert value(database, "SELECT count(*) FROM t WHERE n = 0") == done.batches


def test_a_row_that_somebody_has_locked_is_waited_for_in_turns(
    database: Login, person: Callable[[str], Person]
) -> None:
    """The batch gives up, who is in the way is told, and it goes on once the row is free."""
    make(database)
    other, told = person("editor"), []
    other.execute("UPDATE t SET n = n WHERE id = 3000")

    def tell(text: str) -> None:
        told.append(text)
        if "editor" in text:
            other.rollback()

    fill(database, limits=Limits(lock_ms=200), tell=tell)
    assert value(database, COUNTS) == [1]
    assert any("got no lock in time, behind session" in text for text in told)


def test_an_error_names_the_table_and_leaves_what_was_done(database: Login) -> None:
    """The next run goes on behind it and repeats nothing, once the reason is gone."""
    make(database)
    execute(database, "ALTER TABLE t ADD CONSTRAINT few CHECK (id < 9000 OR n = 0)")
    with pytest.raises(OpsError, match=r"the backfill of t: .*violates check constraint \"few\""):
        fill(database)
    assert value(database, COUNTS) == [0, 1]
    execute(database, "ALTER TABLE t DROP CONSTRAINT few")
    assert fill(database).passed == 5000
    assert value(database, COUNTS) == [1]


def test_a_backfill_whose_row_was_removed_is_not_begun_again_unseen(database: Login) -> None:
    """While it runs, nobody can take its place away without it being said."""
    make(database)

    def tell(text: str) -> None:
        execute(database, "DELETE FROM ops_runbooks.backfills")

    with pytest.raises(Refused, match="is gone"):
        fill(database, Backfill(table="t", assign="n = n + 1", batch_rows=10, batch_ms=0.001), tell=tell)


def test_two_at_once_share_the_work(database: Login) -> None:
    """Whoever comes first takes a batch; no row is changed twice."""
    make(database, rows=2000)
    small = Backfill(table="t", assign="n = n + 1", batch_rows=100, batch_ms=20)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(fill, database, small, name=f"runbook/SOP-001/{name}") for name in "AB"]
        assert {one.result().passed for one in both} == {2000}
    assert value(database, COUNTS) == [1]


def test_killed_backends_change_no_row_twice_and_leave_none_out(database: Login) -> None:
    """The session is ended again and again; each run goes on where the last one was."""
    make(database, rows=6000)
    small = Backfill(table="t", assign="n = n + 1", batch_rows=100, batch_ms=20)
    stop, kills, failures = threading.Event(), 0, set()

    def kill() -> None:
        nonlocal kills
        delay = 0.0
        while kills < 8 and not stop.wait(0.05 + delay):
            delay = (delay + 0.013) % 0.1
            kills += end_backends(database)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        for _ in range(100):
            try:
                done = fill(database, small)
            except OpsError as error:
                failures.add(type(error))
            else:
                break
    finally:
        stop.set()
        killer.join()
    assert failures <= {TargetLost, TargetUnreachable}
    assert kills
    assert done.passed == done.changed == 6000
    assert value(database, COUNTS) == [1]
