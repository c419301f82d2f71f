"""Commands in the hands of somebody who mistypes, and of somebody in a hurry."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import RUNBOOK, Command, command, environment

HEAVY = {
    "IPython", "cryptography", "docker", "jinja2", "jupyterlab", "matplotlib", "nbclient", "nbformat", "numpy",
    "pandas", "papermill", "pglast", "psycopg", "rich", "sqlalchemy",
}  # fmt: skip
QUICK = """\
import sys
from ops_lib.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(*sys.modules, file=sys.stderr)
"""

TEAM_RUNBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {},
    "cells": [
        {
            "cell_type": "raw", "id": "front", "metadata": {},
            "source": "---\nid: TST-001\ntitle: A test\nhazard: read-only\nowner: ana\ntimeout: 60s\n---",
        },
        {
            "cell_type": "code", "id": "p", "metadata": {"tags": ["parameters"]}, "outputs": [],
            "execution_count": None, "source": "seconds: int = 0  # how long to sleep (0 to 100)",
        },
        {
            "cell_type": "code", "id": "c", "metadata": {}, "outputs": [], "execution_count": None,
            "source": "import time; print('begun', flush=True); time.sleep(seconds)",
        },
        {"cell_type": "code", "id": "d", "metadata": {}, "outputs": [], "execution_count": None, "source": "1"},
    ],
}  # fmt: skip


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """A team's folder with a runbook of its own."""
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "runbooks/tst-001.ipynb").write_text(json.dumps(TEAM_RUNBOOK))
    return tmp_path


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["run", "--help"], ["show", "SOP-004"]])
def test_nothing_heavy_is_imported_for_a_quick_answer(tmp_path: Path, arguments: list[str]) -> None:
    """Help and lists answer at once because they import little."""
    done = subprocess.run(
        [sys.executable, "-c", QUICK, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout
    assert not HEAVY & {name.partition(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "NO-SUCH"], 2, "there is no runbook"),
        (["run", "TST-001", "-p", "minutes=3"], 2, "not a parameter"),
        (["run", "TST-001", "-p", "seconds=much"], 2, "seconds takes"),
        (["run", "TST-001", "-p", "seconds=101"], 2, "0 to 100"),
        (["run", "TST-001", "-p", "seconds"], 2, "NAME=VALUE"),
        (["run", "TST-001", "--target", "nowhere"], 2, "no target"),
        (["run", "SOP-004", "--target", "postgresql://ana:sesame@localhost/x"], 2, "arguments are public"),
        (["run", "SOP-004", "--target", "host=/nonexistent dbname=x"], 3, "does not answer"),
        (["record", "../../etc/passwd"], 2, "is not a run"),
        (["records", "--since", "yesterday"], 2, "is not a time"),
        (["records", "--since", "999999d"], 2, "is too long"),
        (["records", "--until", "9999-12-31T23:59:59-14:00"], 2, "is not a time"),
        (["verify", "--archive", "nowhere"], 2, "there is no archive"),
        (["audit", "--from", "2026-02-01", "--to", "2026-01-01"], 2, "is before"),
        (["audit", "--from", "2026-01-01", "--to", "2026-02-01", "--sample", "-1"], 2, "from 0 on"),
        (["new", "nonsense id"], 2, "id"),
        (["frobnicate"], 2, "invalid choice"),
    ],
)
def test_bad_input_gets_one_clear_line(
    team: Path, runbook: Command, arguments: list[str], code: int, says: str
) -> None:
    """What is wrong, what to do, and the exit code; never a traceback, and nothing of the secret."""
    done = runbook(*arguments)
    assert done.returncode == code, done.stderr
    told = done.stdout + done.stderr
    assert says in told
    assert "Traceback" not in told
    assert "sesame" not in told
    if code == 2:
        assert not list(team.glob("outputs/records/*"))


def test_broken_files_do_not_hide_the_others(team: Path, runbook: Command) -> None:
    """The catalogue names file and fault, and the other runbooks still work."""
    (team / "runbooks/broken.ipynb").write_text("{")
    twin = json.loads(json.dumps(TEAM_RUNBOOK).replace("TST-001", "TST-002"))
    (team / "runbooks/a.ipynb").write_text(json.dumps(twin))
    (team / "runbooks/b.ipynb").write_text(json.dumps(twin))
    listed = runbook("list")
    assert listed.returncode == 0
    assert "TST-001" in listed.stdout
    assert "SOP-004" in listed.stdout
    assert "broken.ipynb" in listed.stderr
    assert "a.ipynb" in listed.stderr
    assert runbook("run", "TST-002").returncode == 2
    assert runbook("run", "tst-001").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_run_in_order(team: Path, home: Path, runbook: Command, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM and a lost terminal: sealed as interrupted, with what was produced so far."""
    supervisor = subprocess.Popen(
        [RUNBOOK, "run", "TST-001", "-p", "seconds=60", "--json"], cwd=team, env=environment(home),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    journal = _journal_with(team, "begun", supervisor)
    assert journal
    os.kill(supervisor.pid, number)
    printed, _ = supervisor.communicate(timeout=30)
    record = json.loads(printed)
    assert supervisor.returncode == 130
    assert record["outcome"] == "interrupted"
    assert [cell["status"] for cell in record["cells"]] == ["ok", "ok", "failed", "not-run"]
    assert runbook("verify").returncode == 0


def _journal_with(team: Path, text: str, supervisor: "subprocess.Popen[str]") -> Path | None:
    """Waits until the journal of the run holds a text."""
    while supervisor.poll() is None:
        for journal in team.glob("outputs/staging/*/journal.jsonl"):
            if text in journal.read_text() and '"output"' in journal.read_text():
                return journal
    return None


def test_a_new_runbook_passes_the_lint_and_runs(team: Path, runbook: Command) -> None:
    """What `new` writes is a runbook at once."""
    made = runbook("new", "SOP-900", "--title", "Vacuum by hand", "--owner", "ana")
    assert made.returncode == 0, made.stderr
    path = made.stdout.splitlines()[0]
    assert runbook("lint", "--strict", path).returncode == 0
    assert runbook("new", "SOP-900", "--title", "Vacuum by hand").returncode == 2


def test_init_makes_a_folder_that_a_team_can_begin_with(tmp_path: Path, runbook: Command) -> None:
    """Targets, roles and a place for records; what is there is never written over."""
    assert runbook("init").returncode == 0
    targets = tmp_path / "infrastructure/targets.yaml"
    targets.write_text("mine: {kind: postgres, service: x, colour: red}\n")
    assert runbook("init").returncode == 0
    assert "colour" in targets.read_text()
    refused = runbook("run", "SOP-004", "--target", "mine")
    assert refused.returncode == 2
    assert "unknown key colour" in refused.stderr


def test_a_password_comes_by_reference_and_stays_out(tmp_path: Path, runbook: Command) -> None:
    """A target names where its password is; a missing reference is said, a present one is never stored."""
    (tmp_path / "infrastructure").mkdir()
    described = "mine: {kind: postgres, dsn: 'host=/nonexistent dbname=x user=ana', password_from: 'env:MY_PASSWORD'}\n"
    (tmp_path / "infrastructure/targets.yaml").write_text(described)
    missing = runbook("run", "SOP-004", "--target", "mine")
    assert missing.returncode == 2
    assert "set MY_PASSWORD" in missing.stderr
    unreachable = runbook("run", "SOP-004", "--target", "mine", MY_PASSWORD="open-sesame-9")
    assert unreachable.returncode == 3
    stored = b"".join(path.read_bytes() for path in (tmp_path / "outputs").rglob("*") if path.is_file())
    assert b"open-sesame-9" not in stored


def test_an_archive_that_cannot_be_written_is_named(team: Path, runbook: Command) -> None:
    """A file where the archive should be: one line, exit 1, nothing half done."""
    (team / "outputs").write_text("not a folder")
    done = runbook("run", "TST-001")
    assert done.returncode == 1
    assert "outputs" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_demonstration_the_run_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """No cluster is made in passing."""
    done = command(tmp_path, tmp_path, "run", "SOP-004")
    assert done.returncode == 3
    assert "runbook demo" in done.stdout
    assert not (tmp_path / ".local").exists()
