"""Migrations are applied briefly, once, and wholly, whoever is in the way and whatever dies."""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from ops_lib.model.errors import BadInput, OpsError, Refused, TargetLost, TargetUnreachable
from ops_lib.model.migration import Direction, Migration, Script
from ops_lib.model.rollout import Blocking, Limits
from ops_lib.model.target import Login
from ops_lib.postgres.migrations import careful
from ops_lib.postgres.server import EmbeddedServer
from tests.conftest import open_session
from tests.eventually import eventually
from tests.postgres.conftest import Person, execute
from tests.postgres.migrations.rollouts import (
    NAME,
    SET,
    TABLE,
    Rows,
    changing,
    end_backends,
    go,
    history,
    migration,
    numbered,
    value,
)

IMPATIENT = Limits(lock_ms=100, patience_s=0.5)


def test_migrations_are_applied_in_order_with_their_rows(database: Login) -> None:
    """Each is applied once, with what it took; a second time all of them are found done."""
    two = numbered(TABLE, "BEGIN; INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); COMMIT;")
    first, second = go(database, two), go(database, two)
    assert [each.found for each in first + second] == [False, False, True, True]
    assert [each.attempts for each in first] == [1, 1]
    assert all(each.seconds >= each.held_s > 0 for each in first)
    assert history(database) == ["01", "02"]
    assert value(database, "SELECT count(*) FROM t") == 2


def test_a_migration_without_a_statement_is_recorded(database: Login) -> None:
    """A file that holds only comments is history too."""
    go(database, numbered("-- nothing to do"))
    assert history(database) == ["01"]


def test_the_way_back_takes_the_row_with_it(database: Login) -> None:
    """Reverting does the revert script and forgets; what is not there is found done."""
    steps = [migration("01", TABLE, "DROP TABLE t"), migration("02", "SELECT 1", "SELECT 1")]
    go(database, steps)
    done = go(database, steps[::-1], direction=Direction.REVERT)
    assert [(each.version, each.found) for each in done] == [("02", False), ("01", False)]
    assert history(database) == []
    assert value(database, "SELECT to_regclass('t')") is None
    assert all(each.found for each in go(database, steps, direction=Direction.REVERT))


def test_no_way_back_is_said_before_anything_is_done(database: Login) -> None:
    """A migration without a revert script stops the way back at its beginning."""
    with pytest.raises(BadInput, match=r"01.sql has no way back"):
        go(database, numbered(TABLE), direction=Direction.REVERT)


def test_an_error_names_file_and_line_and_undoes_its_migration(database: Login) -> None:
    """What came before the broken statement is undone, what came before its file stays."""
    with pytest.raises(OpsError, match=r"02.sql, line 3: relation \"nowhere\" does not exist"):
        go(database, numbered(TABLE, "INSERT INTO t VALUES (1);\n\nSELECT * FROM nowhere;\nSELECT 1", "SELECT 1"))
    assert history(database) == ["01"]
    assert value(database, "SELECT count(*) FROM t") == 0


def test_an_error_that_comes_with_the_commit_names_the_file(database: Login) -> None:
    """A deferred constraint that fails undoes the migration and its row."""
    deferred = "CREATE TABLE c (t int REFERENCES t DEFERRABLE INITIALLY DEFERRED); INSERT INTO c VALUES (9)"
    with pytest.raises(OpsError, match=r"02.sql.*violates foreign key"):
        go(database, numbered(TABLE, deferred))
    assert history(database) == ["01"]


def test_bad_sql_in_a_later_file_stops_all_before_anything_is_done(database: Login) -> None:
    """Every file is parsed before the first is applied."""
    with pytest.raises(BadInput, match=r"02.sql, line 1"):
        go(database, numbered(TABLE, "SELEKT"))
    assert value(database, "SELECT to_regclass('t')") is None


def test_what_a_file_sets_does_not_reach_the_next(database: Login) -> None:
    """Settings and roles are those of a new session for each file; the limits hold whatever a file sets."""
    execute(database, "CREATE TABLE seen (path text, lock text, role text)")
    look = (
        "INSERT INTO public.seen VALUES (current_setting('search_path'), current_setting('lock_timeout'), current_user)"
    )
    go(database, numbered("SET search_path = pg_catalog; SET lock_timeout = '9s'; SET ROLE pg_monitor", look))
    with open_session(database) as opened:
        assert opened.execute("SELECT * FROM seen").fetchall() == [('"$user", public', "500ms", "postgres")]


def test_each_migration_is_told_to_the_listener_once(database: Login) -> None:
    """The run's record has the text of each migration with its time, and no BEGIN."""
    told: list[str] = []
    with changing(database) as session:
        session.on_statement = lambda statement, seconds: told.append(statement)
        careful.apply(session, numbered(TABLE, "SELECT 1"), Rows(), tell=lambda text: None)
    assert [text for text in told if text.startswith("-- apply")] == [
        f"-- apply 01.sql\n{TABLE}",
        "-- apply 02.sql\nSELECT 1",
    ]
    assert not [text for text in told if text.startswith("BEGIN")]


def test_a_lock_that_is_not_to_be_had_is_tried_for_again(database: Login, person: Callable[[str], Person]) -> None:
    """A migration is applied once its table is free, without waiting in the meantime; who is in the way is told."""
    go(database, numbered(TABLE))
    reader, told = person("report"), []
    reader.execute("SELECT * FROM t")

    def tell(text: str) -> None:
        told.append(text)
        reader.rollback()

    done = go(database, numbered(TABLE, "ALTER TABLE t ADD a int"), limits=Limits(lock_ms=200), tell=tell)
    assert (done[1].attempts, history(database)) == (2, ["01", "02"])
    assert "got no lock in time" in told[0]
    assert "(report, user postgres, idle in transaction" in told[0]


def test_who_outlasts_all_patience_is_named_with_the_ways_on(database: Login, person: Callable[[str], Person]) -> None:
    """Nothing is changed, and the error has the session, its statement, and how to go on, later or at once."""
    go(database, numbered(TABLE))
    reader = person("report")
    reader.execute("SELECT count(*) FROM t")
    with pytest.raises(Refused) as caught:
        go(database, numbered(TABLE, "ALTER TABLE t ADD a int"), limits=IMPATIENT)
    pid = reader.info.backend_pid
    assert f"session {pid} (report, user postgres, idle in transaction, transaction open for" in caught.value.message
    assert "SELECT count(*) FROM t" in caught.value.message
    assert "runbook resume RUN1" in str(caught.value.hint)
    assert "schedule" in str(caught.value.hint)
    assert f"SELECT pg_terminate_backend({pid})" in str(caught.value.hint)
    assert history(database) == ["01"]


def test_the_budget_for_locks_is_one_for_all_statements(database: Login, person: Callable[[str], Person]) -> None:
    """Two statements that wait for one table each may not wait longer together than one may alone."""
    go(database, numbered(TABLE, "CREATE TABLE u (id int)"))
    first, second = person("first"), person("second")
    first.execute("SELECT * FROM t")
    second.execute("SELECT * FROM u")
    release = threading.Timer(0.6, first.rollback)
    release.start()
    both = numbered(TABLE, "SELECT 1", "ALTER TABLE t ADD a int; ALTER TABLE u ADD a int")
    times: list[float] = []
    with changing(database) as session:
        session.on_statement = lambda statement, seconds: times.append(seconds)
        with pytest.raises(Refused):
            careful.apply(session, both, Rows(), limits=Limits(lock_ms=1000, patience_s=0), tell=lambda text: None)
    release.join()
    assert times[-1] < 1.6


def test_sessions_in_the_way_are_ended_where_that_is_asked_for(
    database: Login, person: Callable[[str], Person]
) -> None:
    """Once patience is over, an idle one and a reader go; the record says whom."""
    go(database, numbered(TABLE))
    reader = person("report")
    reader.execute("SELECT * FROM t")
    limits = Limits(lock_ms=100, patience_s=0.3, blocker=Blocking.END)
    done = go(database, numbered(TABLE, "ALTER TABLE t ADD a int"), limits=limits)
    assert "report" in done[1].ended[0]
    with pytest.raises(psycopg.OperationalError):
        reader.execute("SELECT 1")


def test_another_runbook_is_never_ended(database: Login, person: Callable[[str], Person]) -> None:
    """What a runbook holds is waited for, whatever may be done to others."""
    go(database, numbered(TABLE))
    other = person("runbook/SOP-002/OTHER")
    other.execute("SELECT * FROM t")
    limits = Limits(lock_ms=100, patience_s=0.3, blocker=Blocking.END)
    with pytest.raises(Refused, match=r"though it is another runbook|runbook/SOP-002/OTHER"):
        go(database, numbered(TABLE, "ALTER TABLE t ADD a int"), limits=limits)
    other.execute("SELECT 1")


def test_a_statement_over_its_time_is_an_error_at_once(database: Login) -> None:
    """The limit of a migration's statement is not a reason to try again."""
    with pytest.raises(OpsError, match=r"01.sql, line 1: canceling statement due to statement timeout"):
        go(database, numbered("SELECT pg_sleep(20)"), limits=Limits(statement_s=0.2))


def test_a_deadlock_is_tried_again(database: Login, person: Callable[[str], Person]) -> None:
    """Whoever the server chooses as the victim, the migration is applied once."""
    go(database, numbered(TABLE, "CREATE TABLE u (id int)"))
    execute(database, "ALTER SYSTEM SET deadlock_timeout = '50ms'", "SELECT pg_reload_conf()")
    other = person("other")
    other.execute("LOCK TABLE u IN ROW EXCLUSIVE MODE")
    text = "ALTER TABLE t ADD a int; ALTER TABLE u ADD a int"

    def cross() -> None:
        assert eventually(lambda: waits(database) > 0)
        with contextlib.suppress(psycopg.errors.DeadlockDetected):
            other.execute("LOCK TABLE t IN ROW EXCLUSIVE MODE")
        other.rollback()

    thread = threading.Thread(target=cross)
    thread.start()
    try:
        go(database, numbered(TABLE, "SELECT 1", text), limits=Limits(lock_ms=5000, wait_ms=20_000))
    finally:
        thread.join()
        execute(database, "ALTER SYSTEM RESET deadlock_timeout", "SELECT pg_reload_conf()")
    assert history(database) == ["01", "02", "03"]


def waits(login: Login) -> int:
    """How many locks of a database are waited for."""
    return int(
        value(
            login,
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
    )


# -- several parts -----------------------------------------------------------------------------------------------------

CONCURRENT = "INSERT INTO t VALUES (1);\nCREATE INDEX CONCURRENTLY t_n ON t (n);\nUPDATE t SET n = n + 1"


def left(login: Login) -> int:
    """How many rows of unfinished migrations a database has."""
    return int(value(login, "SELECT count(*) FROM ops_runbooks.migration_parts"))


def test_parts_are_done_one_after_the_other_and_leave_no_trace(database: Login) -> None:
    """A concurrent index between two transactions; the rows of the parts go with the row of the history."""
    two = numbered(TABLE, CONCURRENT)
    assert [each.found for each in go(database, two) + go(database, two)] == [False, False, True, True]
    assert value(database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_n'::regclass") is True
    assert value(database, "SELECT n FROM t") == 1
    assert (history(database), left(database)) == (["01", "02"], 0)


def test_a_part_that_fails_is_where_the_next_run_goes_on(database: Login) -> None:
    """What was done before it is not done again, though another run goes on with it."""
    text = CONCURRENT + ";\nINSERT INTO later VALUES (1)"
    with pytest.raises(OpsError, match=r"02.sql, line 4"):
        go(database, numbered(TABLE, text))
    assert (history(database), left(database)) == (["01"], 3)
    execute(database, "CREATE TABLE later (id int)")
    go(database, numbered(TABLE, text), name="runbook/SOP-001/RUN2")
    assert value(database, "SELECT n FROM t") == 1
    assert (history(database), left(database)) == (["01", "02"], 0)


def test_settings_of_parts_that_are_done_hold_for_the_others(database: Login) -> None:
    """A SET before the part where it goes on is done again, since it went with the session."""
    execute(database, "CREATE SCHEMA s", "CREATE TABLE s.u (id int)")
    odd = "INSERT INTO u SELECT length('set_config')"
    text = f"SELECT set_config('search_path', 's', false); {odd}; CREATE INDEX CONCURRENTLY i ON u (id); TABLE later"
    with pytest.raises(OpsError, match="later"):
        go(database, numbered(text))
    execute(database, "CREATE TABLE s.later (id int)")
    go(database, numbered(text))
    assert value(database, "SELECT count(*) FROM s.u") == 1


def test_a_file_that_changed_while_it_was_half_done_is_refused(database: Login) -> None:
    """Its first parts could be had twice otherwise."""
    with pytest.raises(OpsError, match="nowhere"):
        go(database, numbered(TABLE, CONCURRENT + "; SELECT * FROM nowhere"))
    with pytest.raises(Refused, match=r"02.sql was left half done by run RUN1 and was changed since") as caught:
        go(database, numbered(TABLE, CONCURRENT + "; SELECT 1"))
    assert "DELETE FROM ops_runbooks.migration_parts WHERE version = '02'" in str(caught.value.hint)


def test_a_file_that_is_parted_in_another_way_is_refused(database: Login) -> None:
    """How it is parted may be said outside of its text: parts that are done would be other statements then."""
    text = "CREATE TABLE a (n int); CREATE TABLE b (n int); SELECT 1 / 0; CREATE TABLE c (n int)"
    with pytest.raises(OpsError, match="division by zero"):
        go(database, [migration("1", text, transaction=False)])
    with pytest.raises(Refused, match="left half done"):
        go(database, [migration("1", text)])


def test_a_backfill_that_changed_half_way_is_refused(database: Login) -> None:
    """Rows that were changed are not changed again by another text of the same file."""
    execute(database, "CREATE TABLE t (id int PRIMARY KEY, v int)")
    execute(database, "INSERT INTO t SELECT i, 1 FROM generate_series(1, 5000) i")
    text = "UPDATE t SET v = v * 2 / (CASE WHEN id = 2500 THEN 0 ELSE 1 END)"
    with pytest.raises(OpsError, match="division by zero"):
        go(database, [batched("1", text)])
    assert value(database, "SELECT sum(v) FROM t") > 5000
    with pytest.raises(Refused, match="left half done"):
        go(database, [batched("1", f"{text} WHERE id <> 2500")])


def batched(version: str, text: str) -> Migration:
    """A migration whose one UPDATE is done in batches."""
    return replace(migration(version, text), up=Script(file=Path(f"{version}.sql"), text=text, batches=True))


def test_a_transaction_may_say_what_kind_it_is(database: Login) -> None:
    """Nothing of ours comes before SET TRANSACTION."""
    go(database, numbered("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; CREATE TABLE a (n int)"))
    assert value(database, "SELECT to_regclass('a')::text") == "a"


def test_the_invalid_index_of_a_failed_build_is_removed(database: Login) -> None:
    """A unique index over rows that are not: the error is told, and nothing is left of it, named or not."""
    for text in ("CREATE UNIQUE INDEX CONCURRENTLY u ON t (n)", "CREATE UNIQUE INDEX CONCURRENTLY ON t (n)"):
        two = numbered(TABLE, text)
        go(database, two[:1])
        execute(database, "INSERT INTO t VALUES (1), (2) ON CONFLICT DO NOTHING")
        with pytest.raises(OpsError, match=r"could not create unique index"):
            go(database, two)
        assert value(database, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
        assert left(database) == 0


def test_an_invalid_index_does_not_count_as_one_that_exists(database: Login) -> None:
    """IF NOT EXISTS over the debris of somebody's failed build: it is removed and built."""
    go(database, numbered(TABLE))
    execute(database, "INSERT INTO t VALUES (1), (2)")
    with open_session(database) as other, pytest.raises(psycopg.errors.UniqueViolation):
        other.execute("CREATE UNIQUE INDEX CONCURRENTLY i ON t (n)")
    go(database, numbered(TABLE, "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (n)"))
    assert value(database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass") is True


def test_what_exists_before_it_begins_is_left_to_the_server_to_judge(database: Login) -> None:
    """An index of this name that somebody else made is an error without IF NOT EXISTS, each time."""
    go(database, numbered(TABLE, "CREATE INDEX i ON t (n)"))
    three = numbered(TABLE, "CREATE INDEX i ON t (n)", "CREATE INDEX CONCURRENTLY i ON t (n)")
    for _ in range(2):
        with pytest.raises(OpsError, match="already exists"):
            go(database, three)
    with pytest.raises(OpsError, match="does not exist"):
        go(database, [migration("04", "DROP INDEX CONCURRENTLY nowhere")])
    go(database, [migration("05", "DROP INDEX CONCURRENTLY IF EXISTS nowhere")])
    assert (history(database), left(database)) == (["01", "02", "05"], 0)


@pytest.fixture
def begun(database: Login) -> Callable[[Migration], None]:
    """Makes a database look as if a run had been killed in the first part of a migration."""

    def kill(cut: Migration) -> None:
        with changing(database) as session:
            place = careful.checkpoints.shelf(session, "KILLED").of(cut, Direction.APPLY, cut.up)
            careful.checkpoints.prepare(session, careful.checkpoints.STEM, careful.checkpoints.TABLE)
            place.note_alone(0, "began")

    return kill


CUT = {
    "a valid index": ("CREATE INDEX i ON t (n)", "CREATE INDEX CONCURRENTLY i ON t (n)"),
    "no index": ("SELECT 1", "CREATE INDEX CONCURRENTLY i ON t (n)"),
    "a dropped index": ("SELECT 1", "DROP INDEX CONCURRENTLY i"),
    "an index to drop": ("CREATE INDEX i ON t (n)", "DROP INDEX CONCURRENTLY public.i"),
    "a rebuilt index": ("SELECT 1", "REINDEX INDEX CONCURRENTLY t_pkey"),
    "a rebuilt table": ("SELECT 1", "REINDEX TABLE CONCURRENTLY t"),
    "a vacuumed table": ("SELECT 1", "VACUUM t"),
    "a partition": ("CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
                    "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY"),
    "no partition": ("CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 (a int)",
                     "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "text"), CUT.values(), ids=CUT.keys())
def test_a_part_that_was_cut_off_is_looked_for(
    database: Login, begun: Callable[[Migration], None], before: str, text: str
) -> None:
    """Done is not done again, and not done is done; either way the migration ends well."""
    cut = migration("09", text)
    go(database, numbered(TABLE, before))
    begun(cut)
    go(database, [cut])
    assert (history(database), left(database)) == (["01", "02", "09"], 0)
    assert value(database, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
    assert value(database, "SELECT count(*) FROM pg_inherits") == 0
    assert value(database, "SELECT to_regclass('i') IS NOT NULL") is ("CREATE INDEX" in text)


def test_what_nothing_tells_is_left_to_a_person(database: Login, begun: Callable[[Migration], None]) -> None:
    """An index without a name may be any: refused with the statements that settle it, and they do."""
    cut = migration("02", "CREATE INDEX CONCURRENTLY ON t (n)")
    go(database, numbered(TABLE))
    begun(cut)
    with pytest.raises(Refused, match=r"02.sql, line 1: it began and did not end") as caught:
        go(database, [cut])
    done, not_done = (text.split(": ", 1)[1] for text in str(caught.value.hint).split("; "))
    assert done.startswith("UPDATE")
    execute(database, not_done)
    go(database, [cut])
    assert value(database, "SELECT count(*) FROM pg_indexes WHERE tablename = 't'") == 2


def test_a_pending_detach_is_finalized(database: Login, person: Callable[[str], Person]) -> None:
    """A detach that gives up half way, behind a reader, is finished by the next run."""
    made = "CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)"
    two = numbered(made, "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY")
    go(database, two[:1])
    reader = person("report")
    reader.execute("SELECT * FROM p")
    with pytest.raises(OpsError, match="statement timeout"):
        go(database, two, limits=Limits(build_s=0.5))
    assert value(database, "SELECT inhdetachpending FROM pg_inherits") is True
    reader.rollback()
    go(database, two)
    assert value(database, "SELECT count(*) FROM pg_inherits") == 0
    assert (history(database), left(database)) == (["01", "02"], 0)


def test_a_concurrent_build_waits_for_old_snapshots_and_says_for_whom(
    database: Login, person: Callable[[str], Person]
) -> None:
    """It is not stopped by the limit for locks, and tells its phase and who is waited for."""
    go(database, numbered(TABLE))
    reader, told = person("report"), []
    reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")

    def tell(text: str) -> None:
        told.append(text)
        if "report" in text:
            reader.rollback()

    done = go(database, numbered(TABLE, "CREATE INDEX CONCURRENTLY i ON t (n)"), limits=Limits(lock_ms=100), tell=tell)
    assert done[1].attempts == 1
    assert any("waiting for old snapshots" in text and "(report, user postgres" in text for text in told)


def test_a_procedure_that_commits_by_itself_stands_alone(database: Login) -> None:
    """In a file that says that it is no transaction, a CALL may end transactions."""
    body = "BEGIN INSERT INTO t VALUES (1); COMMIT; INSERT INTO t VALUES (2); END"
    procedure = f"CREATE PROCEDURE p() LANGUAGE plpgsql AS '{body}'"
    go(database, [*numbered(TABLE, procedure), migration("03", "CALL p()", transaction=False)])
    assert value(database, "SELECT count(*) FROM t") == 2
    assert (history(database), left(database)) == (["01", "02", "03"], 0)


def test_a_procedure_that_fails_half_way_is_not_called_again_unasked(database: Login) -> None:
    """What it has committed before its error is there: a person says whether that was all."""
    body = "BEGIN INSERT INTO t VALUES (1); COMMIT; PERFORM 1 / 0; END"
    steps = [*numbered(TABLE, f"CREATE PROCEDURE p() LANGUAGE plpgsql AS '{body}'")]
    steps.append(migration("03", "CALL p()", transaction=False))
    with pytest.raises(OpsError, match=r"division by zero") as caught:
        go(database, steps)
    with pytest.raises(Refused, match="it began and did not end"):
        go(database, steps)
    execute(database, str(caught.value.hint).split(": ", 1)[1].split(";")[0])
    go(database, steps)
    assert value(database, "SELECT count(*) FROM t") == 1
    assert (history(database), left(database)) == (["01", "02", "03"], 0)


# -- two at once, and kills --------------------------------------------------------------------------------------------


def test_a_second_executor_is_refused_by_name(database: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody migrates, nobody else does, and is told who."""
    monkeypatch.setattr(careful, "_LOCK_PATIENCE_SECONDS", 0.2)
    named = pytest.raises(Refused, match=r"is being migrated by runbook/SOP-001/FIRST")
    with changing(database, "runbook/SOP-001/FIRST") as first, careful.only_one(first), named:
        go(database, numbered(TABLE))
    go(database, numbered(TABLE))


def test_two_executors_at_once_have_each_effect_once(database: Login) -> None:
    """The one that comes second finds everything done."""
    steps = numbered(TABLE, "INSERT INTO t VALUES (1)", *["UPDATE t SET n = n + 1"] * 30)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(go, database, steps, name=f"runbook/SOP-001/{name}") for name in "AB"]
        found = sorted(sum(each.found for each in one.result()) for one in both)
    assert found == [0, 32]
    assert value(database, "SELECT n FROM t") == 30


def test_another_tool_that_was_faster_is_believed(database: Login) -> None:
    """A row that somebody who does not know our lock has written meanwhile undoes ours, and is found done."""

    class Late(Rows):
        def record(self, connection: "psycopg.Connection[object]", migration: Migration, seconds: float) -> None:
            execute(database, f"INSERT INTO history VALUES ('{migration.version}')")
            super().record(connection, migration, seconds)

    go(database, numbered(TABLE, "INSERT INTO t VALUES (1)"))
    with changing(database) as session:
        (done,) = careful.apply(session, [migration("03", "UPDATE t SET n = 5")], Late(), tell=lambda text: None)
    assert done.found
    assert value(database, "SELECT n FROM t") == 0


def assert_whole(login: Login) -> None:
    """History equals schema after all of SET: each effect is there once."""
    assert history(login) == ["01", "02", "03", "04", "05", "06"]
    assert value(login, "SELECT array_agg(DISTINCT n) FROM t") == [5]
    names = "SELECT array_agg(indexrelid::regclass::text) FROM pg_index WHERE indrelid = 't'::regclass"
    assert sorted(value(login, names)) == ["j", "t_pkey"]
    assert value(login, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
    assert left(login) == 0


def test_killed_backends_leave_nothing_twice_and_nothing_out(database: Login) -> None:
    """The session of the run is ended at 25 moments; each time the next run goes on, until all is done."""
    kills, delay, failures = 0, 0.0, {}
    stop = threading.Event()

    def kill() -> None:
        nonlocal kills, delay
        while not stop.wait(0.02 + delay):
            delay = (delay + 0.007) % 0.06
            kills += end_backends(database)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        for _ in range(200):
            try:
                go(database, SET)
            except OpsError as error:
                failures[type(error)] = repr(error.__cause__ or error)
                if kills >= 25:
                    stop.set()
            else:
                break
    finally:
        stop.set()
        killer.join()
    go(database, SET)
    assert failures.keys() <= {TargetLost, TargetUnreachable}, failures
    assert kills
    assert_whole(database)


def test_killed_processes_leave_nothing_twice_and_nothing_out(database: Login) -> None:
    """kill -9 of the executor: its backend may work on for a moment, and the next one waits for that and goes on."""
    code = "import json, sys; from tests.postgres.migrations.rollouts import *; go(Login(**json.load(sys.stdin)), SET)"
    there = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{NAME}' AND datname = current_database()"
    killed = 0
    for step in range(4):
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True) as process:
            assert process.stdin
            json.dump(database.to_json(), process.stdin)
            process.stdin.close()
            assert eventually(lambda: value(database, there) or process.poll() is not None)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02 + 0.05 * step)
            process.kill()
        killed += process.returncode == -9
    go(database, SET)
    assert killed
    assert_whole(database)


def test_crashed_servers_leave_nothing_twice_and_nothing_out(state_folder: Path) -> None:
    """The server is stopped at once, as by a power failure, and started again: the next run goes on."""
    own = EmbeddedServer(state_folder)
    own.start()
    try:
        crashes = 0
        for step in range(2):
            crash = threading.Timer(0.1 + 0.1 * step, own.stop, args=["immediate"])
            crash.start()
            with contextlib.suppress(TargetLost, TargetUnreachable):
                go(own.login(dbname="postgres"), SET)
                crashes -= 1
            crashes += 1
            crash.join()
            own.start()
        go(own.login(dbname="postgres"), SET)
        assert crashes
        assert_whole(own.login(dbname="postgres"))
    finally:
        own.remove()
