"""SOP-001 as it is run: from a plan to a handoff, back again, and what stops it."""

import gzip
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ops_lib.model.errors import BadParameter, WaitsForApproval
from ops_lib.model.run import Cause, Request
from ops_lib.model.target import Hazard, Login, Target
from ops_lib.operations.approve import Yes, approve
from ops_lib.operations.desk import Desk
from ops_lib.operations.proceed import proceed, waiting_run
from ops_lib.operations.resume import resume
from ops_lib.operations.run import Sealed, run
from ops_lib.operations.waiting import waiting
from tests.conftest import open_session

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
CAUSE = Cause(kind="person", who="ana", how_known="test")
COLUMNS = (
    "SELECT attname FROM pg_attribute WHERE attrelid = 'staging.team_stats'::regclass AND NOT attisdropped ORDER BY 1"
)
HANDBOOK = """-- Migration: Add new feature columns
-- Author: DevOps Agent
-- Date: 2026-01-01

BEGIN;

-- Add columns
ALTER TABLE staging.team_stats
ADD COLUMN IF NOT EXISTS new_feature NUMERIC(10,4);

-- Create indices
CREATE INDEX IF NOT EXISTS idx_team_stats_new_feature
ON staging.team_stats(new_feature);

COMMIT;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A desk whose one target is a database with a small table, and a folder of migrations."""

    desk: Desk
    files: Path
    login: Login

    def write(self, name: str, text: str) -> Path:
        path = self.files / name
        path.write_text(text)
        return path

    def run(self, *, target: str = "own", **parameters: Any) -> Sealed:
        given = {"migrations": str(self.files), **parameters}
        return run(self.desk, Request(runbook="SOP-001", cause=CAUSE, target=target, parameters=given))

    def on(self, **more: Any) -> "Team":
        """The same with another target beside it."""
        target = replace(self.desk.targets["own"], name="other", **more)
        return replace(self, desk=replace(self.desk, targets={**self.desk.targets, "other": target}))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with open_session(self.login) as session:
            return session.execute(statement.encode()).fetchall()


@pytest.fixture
def team(tmp_path: Path, database: Login) -> Team:
    """A team's folder, as the handbook has it."""
    files = tmp_path / "db/migrations"
    files.mkdir(parents=True)
    with open_session(database) as session:
        session.execute("CREATE SCHEMA staging; CREATE TABLE staging.team_stats (team text, wins int)")
        session.execute("INSERT INTO staging.team_stats SELECT 'team ' || i, i % 17 FROM generate_series(1, 320) i")

    def reach(target: Target, hazard: Hazard) -> Login:
        return database

    desk = Desk(
        archive=tmp_path / "outputs", runbooks=(RUNBOOKS,), targets={"own": Target(name="own", dsn="own")},
        default_target="own", who="ana", how_known="test", clock=lambda: datetime.now(UTC), randomness=os.urandom,
        reach=reach, experiments=lambda: None,
        scratch=lambda run_id: Path(tempfile.gettempdir()) / f"runbook-{run_id[-12:].lower()}",
        environment={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
        configuration=tmp_path / "configuration", cwd=tmp_path,
    )  # fmt: skip
    return Team(desk=desk, files=files, login=database)


def steps(record: Mapping[str, Any]) -> dict[str, str]:
    return {step["name"]: step["status"] for step in record["steps"]}


def said(sealed: Sealed) -> str:
    return (sealed.folder / "notebook.ipynb").read_text()


def test_the_handbooks_own_file_goes_all_the_way(team: Team) -> None:
    """Planned, linted, rehearsed, applied, proven, handed off; and the record says how it is undone."""
    team.write("202601010900_add_features.sql", HANDBOOK)
    sealed = team.run()
    record = sealed.record
    assert (record["outcome"], record["error"]) == ("succeeded", None)
    assert steps(record) == {"plan": "done", "rehearse": "done", "apply": "done", "analyze": "done"}
    assert team.rows("SELECT version FROM ops.schema_migrations") == [("202601010900",)]
    assert any(finding["cause"] == "unsafe-migration" for finding in record["findings"])
    told = [statement["sql"] for statement in record["statements"]]
    assert sum(text.startswith("-- apply 202601010900_add_features.sql") for text in told) == 1
    assert {file["path"] for file in record["files"]} >= {
        "attachments/safe-202601010900_add_features.sql", "attachments/safe-202601010901_add_features_index.sql",
    }  # fmt: skip
    assert record["undo"]["parameters"] == {"migrations": str(team.files), "direction": "revert", "to": "0"}
    (handoff,) = record["handoffs"]
    context = handoff["message"]["context"]
    assert context["new_columns"] == ["staging.team_stats.new_feature"]
    assert context["affected_tables"] == ["staging.team_stats"]
    assert "the schema is the rehearsed one" in said(sealed)


def test_it_goes_back_by_what_the_rehearsal_has_derived(team: Team) -> None:
    """A file that only adds needs no revert file: the record of its run has the way back."""
    team.write("202601010900_add_features.sql", HANDBOOK)
    before = team.rows(COLUMNS)
    undo = team.run().record["undo"]["parameters"]
    record = team.run(**undo).record
    assert (record["outcome"], record["error"]) == ("succeeded", None)
    assert team.rows("SELECT version FROM ops.schema_migrations") == []
    assert team.rows(COLUMNS) == before
    assert team.run().record["outcome"] == "succeeded"


def test_a_file_that_loses_data_has_no_way_back(team: Team) -> None:
    """What nobody can derive is refused on the way back, and nothing is half undone."""
    team.write("202601010900_drop.sql", "ALTER TABLE staging.team_stats DROP COLUMN wins;")
    first = team.run().record
    assert first["outcome"] == "succeeded"
    assert any(finding["cause"] == "irreversible-migration" for finding in first["findings"])
    record = team.run(direction="revert", to="0").record
    assert record["outcome"] == "refused"
    assert "SOP-002" in record["error"]["hint"]
    assert team.rows("SELECT version FROM ops.schema_migrations") == [("202601010900",)]


def test_what_fails_on_the_copy_never_reaches_the_target(team: Team) -> None:
    """The rehearsal refuses, with file and line, before anything is locked."""
    team.write("202601010900_broken.sql", "CREATE TABLE fine (n int);\n\nSELECT 1 / 0;")
    record = team.run().record
    assert record["outcome"] == "refused"
    assert "202601010900_broken.sql, line 3: division by zero" in record["error"]["message"]
    assert team.rows("SELECT to_regclass('fine')") == [(None,)]
    assert "apply" not in steps(record)


def test_a_failing_file_leaves_the_ones_before_it_and_is_taken_up(team: Team) -> None:
    """What fails on real rows fails alone; once the rows are mended the same plan goes on, without a second time."""
    team.write("202601010900_first.sql", "CREATE TABLE first (n int);")
    team.write("202601010901_second.sql", "ALTER TABLE staging.team_stats ADD CONSTRAINT few CHECK (wins < 10);")
    team.write("202601010902_third.sql", "CREATE TABLE third (n int);")
    failed = team.run().record
    assert failed["outcome"] == "failed"
    assert "202601010901_second.sql, line 1" in failed["error"]["message"]
    assert team.rows("SELECT version FROM ops.schema_migrations") == [("202601010900",)]
    with open_session(team.login) as session:
        session.execute("UPDATE staging.team_stats SET wins = 1")
    record = resume(team.desk, failed["run_id"], {}, CAUSE).record
    assert (record["outcome"], record["error"]) == ("succeeded", None)
    assert steps(record) == {"plan": "carried", "rehearse": "carried", "apply": "done", "analyze": "done"}
    assert len(team.rows("SELECT version FROM ops.schema_migrations")) == 3


def test_an_edited_file_stops_everything(team: Team) -> None:
    """The history would no longer say what the database has had."""
    path = team.write("202601010900_first.sql", "CREATE TABLE first (n int);")
    assert team.run().record["outcome"] == "succeeded"
    path.write_text("CREATE TABLE first (n bigint);")
    record = team.run().record
    assert record["outcome"] == "refused"
    assert "changed after it was applied: 202601010900_first.sql" in record["error"]["message"]


def test_drift_is_told_by_name(team: Team) -> None:
    """What somebody has changed by another way stands in the next plan."""
    team.write("202601010900_first.sql", "CREATE TABLE first (n int);")
    team.run()
    with open_session(team.login) as session:
        session.execute("ALTER TABLE staging.team_stats ADD COLUMN by_hand text")
    sealed = team.run()
    assert "column staging.team_stats.by_hand (text) is new" in said(sealed)
    assert "Nothing to do" in said(sealed)


def test_it_waits_for_a_yes_to_exactly_this(team: Team) -> None:
    """The rehearsal needs nobody's approval, the change does; after the yes nothing is rehearsed again."""
    team = team.on(approvals=1)
    team.write("202601010900_first.sql", "CREATE TABLE first (n int);")
    with pytest.raises(WaitsForApproval) as waits:
        team.run(target="other")
    run_id = waits.value.run_id or ""
    assert team.rows("SELECT to_regclass('first')") == [(None,)]
    approve(replace(team.desk, who="bea"), waiting(team.desk, run_id), Yes())
    sealed = proceed(team.desk, waiting_run(team.desk, run_id), CAUSE)
    record = sealed.record
    assert (record["outcome"], record["error"]) == ("succeeded", None)
    assert (sealed.folder / "journal.jsonl").read_text().count('"name":"rehearse","row"') == 1
    assert team.rows("SELECT to_regclass('first')::text") == [("first",)]


def test_a_closed_window_is_kept(team: Team) -> None:
    """Outside of its maintenance window a target is changed only where the plan says so."""
    closed = _other_day()
    team = team.on(windows=(f"{closed} 03:00-03:01 UTC",))
    team.write("202601010900_first.sql", "CREATE TABLE first (n int);")
    record = team.run(target="other").record
    assert record["outcome"] == "refused"
    assert f"no maintenance window of other is open ({closed} 03:00-03:01 UTC)" in record["error"]["message"]
    assert team.run(target="other", outside_windows=True).record["outcome"] == "succeeded"


def _other_day() -> str:
    """A day of the week that is neither today nor tomorrow."""
    days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    return days[(datetime.now(UTC).weekday() + 3) % 7]


def test_a_session_in_the_way_is_named(team: Team) -> None:
    """Who defeats the retries stands in the error, with the ways on; nothing is changed."""
    team.write("202601010900_first.sql", "ALTER TABLE staging.team_stats ADD COLUMN n int;")
    login = team.login
    reader = psycopg.connect(**login.keywords, password=login.password, application_name="nightly report")
    pid = reader.info.backend_pid
    with reader:
        reader.execute("SELECT count(*) FROM staging.team_stats")
        record = team.run(patience="2s").record
        reader.rollback()
    assert record["outcome"] == "refused"
    assert "nightly report" in record["error"]["message"]
    assert f"runbook resume {record['run_id']}" in record["error"]["hint"]
    assert f"pg_terminate_backend({pid})" in record["error"]["hint"]
    assert resume(team.desk, record["run_id"], {}, CAUSE).record["outcome"] == "succeeded"


def test_a_verify_file_that_says_no_fails_the_run(team: Team) -> None:
    """The rehearsal tells it already, where it does not depend on rows."""
    team.write("202601010900_first.sql", "CREATE TABLE first (n int); INSERT INTO first VALUES (1);")
    team.write("202601010900_first.verify.sql", "SELECT count(*) > 1 AS enough FROM first;")
    record = team.run().record
    assert record["outcome"] in {"refused", "failed"}
    assert "enough is false" in record["error"]["message"]


def test_a_version_that_is_not_there_is_said(team: Team) -> None:
    """Going back needs to know where to."""
    team.write("202601010900_first.sql", "CREATE TABLE first (n int);")
    for parameters, words in (({"direction": "revert"}, "where to"), ({"to": "2099"}, "no migration '2099'")):
        record = team.run(**parameters).record
        assert record["outcome"] == "failed"
        assert words in record["error"]["message"]
    with pytest.raises(BadParameter):
        team.run(direction="sideways")


def test_an_update_in_batches_is_done_once(team: Team) -> None:
    """A file that says so is done batch by batch, also back and forth."""
    with open_session(team.login) as session:
        session.execute("ALTER TABLE staging.team_stats ADD PRIMARY KEY (team)")
    team.write(
        "202601010900_more.sql", "-- Batches: yes\nUPDATE staging.team_stats SET wins = wins + 1 WHERE wins >= 0;"
    )
    team.write("202601010900_more.revert.sql", "-- Batches: yes\nUPDATE staging.team_stats SET wins = wins - 1;")
    before = team.rows("SELECT sum(wins) FROM staging.team_stats")[0][0]
    for expected, parameters in ((before + 320, {}), (before, {"direction": "revert", "to": "0"}), (before + 320, {})):
        record = team.run(**parameters).record
        assert (record["error"], record["outcome"]) == (None, "succeeded")
        assert team.rows("SELECT sum(wins) FROM staging.team_stats") == [(expected,)]
    assert team.rows("SELECT count(*) FROM ops_runbooks.backfills") == [(0,)]


def test_what_somebody_else_did_meanwhile_stops_it(team: Team) -> None:
    """What was approved was rehearsed on another state of the database: it is planned anew."""
    for number in (0, 1):
        team.write(f"20260101090{number}_table.sql", f"CREATE TABLE t{number} (n int);")
    team.write("202601010902_column.sql", "ALTER TABLE staging.team_stats ADD COLUMN n int;")
    blocked = open_session(team.login)
    with blocked.transaction():
        blocked.execute("SELECT count(*) FROM staging.team_stats")
        first = team.run(patience="1s").record
    blocked.close()
    assert first["outcome"] == "refused"
    with open_session(team.login) as session:
        session.execute("DROP TABLE t0")
        session.execute("DELETE FROM ops.schema_migrations WHERE version = '202601010900'")
    record = resume(team.desk, first["run_id"], {}, CAUSE).record
    assert record["outcome"] == "refused"
    assert "somebody else has migrated it" in record["error"]["message"]


def test_a_file_older_than_the_last_has_no_way_back_by_version(team: Team) -> None:
    """Going back to the version before would undo nothing, or more: the record says so in place of a command."""
    team.write("202601010902_late.sql", "CREATE TABLE late (n int);")
    team.run()
    team.write("202601010901_early.sql", "CREATE TABLE early (n int);")
    undo = team.run().record["undo"]
    assert "no way back by this runbook" in undo["text"]
    assert undo["parameters"] == {}


def test_nothing_is_applied_that_was_not_rehearsed(team: Team) -> None:
    """A notebook that leaves the rehearsal out gets no further."""
    notebook = json.loads((RUNBOOKS / "sop-001-database-migration.ipynb").read_text())
    notebook["cells"] = [cell for cell in notebook["cells"] if "change.rehearse" not in "".join(cell["source"])]
    own = team.desk.cwd / "runbooks"
    own.mkdir()
    (own / "sop-001-database-migration.ipynb").write_text(json.dumps(notebook))
    team.write("202601010900_first.sql", "CREATE TABLE first (n int);")
    record = replace(team, desk=replace(team.desk, runbooks=(own,))).run().record
    assert record["outcome"] == "refused"
    assert "not rehearsed" in record["error"]["message"]


def test_the_record_keeps_what_the_rehearsal_saw(team: Team) -> None:
    """Locks and the way back of every statement are attached, for whoever asks later."""
    team.write("202601010900_add_features.sql", HANDBOOK)
    sealed = team.run()
    kept = json.loads(gzip.decompress((sealed.folder / "attachments/rehearsal.json.gz").read_bytes()))
    (file,) = kept["files"]
    assert {"relation": "staging.team_stats", "mode": "ACCESS EXCLUSIVE"} in file["locks"]
    assert file["restored"] is True
