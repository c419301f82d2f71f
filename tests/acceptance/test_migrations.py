"""`runbook migrations`: what a person and a pipeline see of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from ops_lib.model.target import Login
from tests.acceptance.conftest import command
from tests.conftest import open_session

HANDBOOK = """-- Migration: Add a feature
-- Author: DevOps

BEGIN;
ALTER TABLE stats ADD COLUMN IF NOT EXISTS feature numeric;
CREATE INDEX IF NOT EXISTS stats_feature ON stats (feature);
COMMIT;
"""


@pytest.fixture
def team(tmp_path: Path, database: Login) -> Path:
    """A folder with one migration, and a target with a table of some rows."""
    with open_session(database) as session:
        session.execute("CREATE TABLE stats (team text)")
        session.execute("INSERT INTO stats SELECT 'team ' || i FROM generate_series(1, 5000) i")
        session.execute("SELECT pg_stat_force_next_flush()")
        session.execute("ANALYZE stats")
    files = tmp_path / "db/migrations"
    files.mkdir(parents=True)
    (files / "202601010900_feature.sql").write_text(HANDBOOK)
    (tmp_path / "infrastructure").mkdir()
    (tmp_path / "password").write_text(database.password or "")
    dsn = " ".join(f"{key}={value}" for key, value in database.keywords.items())
    target = {"kind": "postgres", "dsn": dsn, "password_from": f"file:{tmp_path}/password"}
    (tmp_path / "infrastructure/targets.yaml").write_text(json.dumps({"own": target}))
    return tmp_path


def said(team: Path, *words: str, code: int = 0) -> Any:
    """What a command prints as JSON, with the exit code that it should have."""
    done = command(team, team, "migrations", *words, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_status_is_what_the_history_says(team: Path) -> None:
    """Pending before a run, applied after it, and named where the file is another one since."""
    before = said(team, "status", "--target", "own")
    assert (before["target"], before["layout"], before["applied"]) == ("own", "plain", [])
    assert [each["version"] for each in before["pending"]] == ["202601010900"]
    done = command(team, team, "run", "SOP-001", "--target", "own", RUNBOOK_NO_DAEMON="1")
    assert done.returncode == 0, done.stdout + done.stderr
    after = said(team, "status", "--target", "own")
    assert ([each["version"] for each in after["applied"]], after["pending"]) == (["202601010900"], [])
    (team / "db/migrations/202601010900_feature.sql").write_text(HANDBOOK + "-- later\n")
    assert [each["version"] for each in said(team, "status", "--target", "own")["edited"]] == ["202601010900"]


def test_lint_tells_lock_table_and_size(team: Path) -> None:
    """With a target the size of the table is in the remark; above info it exits with 7, and writes safe files."""
    (linted,) = said(team, "lint", "db/migrations/202601010900_feature.sql", "--target", "own", code=7)
    worst = max(linted["findings"], key=lambda finding: ["info", "warning", "critical"].index(finding["severity"]))
    assert (worst["rule"], worst["lock"], worst["subject"]) == ("index-without-concurrently", "SHARE", "public.stats")
    assert "5,000 rows" in worst["summary"]
    assert set(worst) == {"rule", "line", "lock", "subject", "severity", "summary", "remedy"}
    said(team, "lint", "db/migrations/202601010900_feature.sql", "--write", "safe", code=7)
    safe = sorted(str(path.relative_to(team)) for path in (team / "safe").iterdir())
    assert safe == ["safe/202601010900_feature.sql", "safe/202601010901_feature_index.sql"]
    assert said(team, "lint", *safe)
    (team / "broken.sql").write_text("SELECT 1;\nSELEKT 2;\n")
    done = command(team, team, "migrations", "lint", "broken.sql")
    assert done.returncode == 2
    assert "broken.sql, line 2: syntax error" in done.stderr
    assert done.stderr.count("\n") == 1


def test_audit_says_which_files_lead_back(team: Path) -> None:
    """A history is proven on a server of its own, without a target."""
    files = team / "history"
    files.mkdir()
    (files / "202601010900_a.sql").write_text("CREATE TABLE a (n int); CREATE INDEX a_n ON a (n);")
    (files / "202601010900_a.revert.sql").write_text("DROP TABLE a;")
    (files / "202601010901_b.sql").write_text("ALTER TABLE a ADD COLUMN m int, ADD COLUMN o int;")
    (files / "202601010901_b.revert.sql").write_text("ALTER TABLE a DROP COLUMN m;")
    (files / "202601010902_c.sql").write_text("CREATE VIEW c AS SELECT n FROM a;")
    found = said(team, "audit", "history")
    assert [(each["file"][13:], each["verdict"]) for each in found] == [
        ("a.sql", "reversible"), ("b.sql", "not-restored"), ("c.sql", "no-revert"),
    ]  # fmt: skip
    assert "column public.a.o (integer) was not dropped" in found[1]["detail"]


@pytest.mark.parametrize(
    "words", [("status", "--migrations", "nowhere"), ("audit", "nowhere"), ("lint", "nowhere.sql")]
)
def test_what_is_not_there_gets_one_line(team: Path, words: tuple[str, ...]) -> None:
    """Bad input changes nothing and says what to do."""
    done = command(team, team, "migrations", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "nowhere" in done.stderr
