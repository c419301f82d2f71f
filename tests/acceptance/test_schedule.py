"""The schedule as a team has it: `init`, a tick, what is next, and what to install."""

import json
import shlex
import subprocess
from pathlib import Path

from tests.acceptance.conftest import Command

MINUTELY = 'every: {runbook: TST-001, when: "* * * * * UTC", missed: all}\n'


def test_init_schedules_snapshots_backups_and_drills(runbook: Command, tmp_path: Path) -> None:
    """A new team has three schedules, which the first tick puts in force."""
    assert runbook("init").returncode == 0
    known = json.loads(runbook("schedule", "--json").stdout)
    assert {(one["runbook"], one["when"], one["in_force"]) for one in known} == {
        ("OPS-SNAPSHOT", "0 * * * * UTC", False),
        ("OPS-BACKUP", "30 2 * * * UTC", False),
        ("OPS-RESTORE-DRILL", "30 4 * * 0 UTC", False),
    }
    ticked = runbook("tick", "--json")
    assert (ticked.returncode, json.loads(ticked.stdout)) == (0, [])
    assert all(one["in_force"] for one in json.loads(runbook("schedule", "--json").stdout))
    assert "OPS-SNAPSHOT" in runbook("schedule").stdout
    assert runbook("verify").returncode == 0


def test_a_broken_file_of_schedules_is_named(runbook: Command, tmp_path: Path) -> None:
    """Nothing is recorded, and the exit code is that of bad input."""
    (tmp_path / "infrastructure").mkdir()
    (tmp_path / "infrastructure/schedules.yaml").write_text("nightly: {runbook: SOP-004}\n")
    done = runbook("tick")
    assert done.returncode == 2
    assert "schedules.yaml: schedule nightly lacks when" in done.stderr
    assert not (tmp_path / "outputs/ledger.jsonl").exists()


def test_the_exported_line_of_cron_ticks(runbook: Command, tmp_path: Path) -> None:
    """What stands in it is a command that a shell runs, from any folder."""
    folder = tmp_path / "a team's 100% folder"
    folder.mkdir()
    printed = runbook("schedule", "export", "cron", "--archive", str(folder))
    assert printed.returncode == 0
    line = printed.stdout.splitlines()[-1]
    assert line.startswith("* * * * * cd ")
    assert line.count("%") == line.count("\\%")
    command = line.removeprefix("* * * * * ").replace("\\%", "%")
    done = subprocess.run(["/bin/sh", "-c", command], cwd="/", capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_exported_units_of_systemd(runbook: Command, tmp_path: Path) -> None:
    """Four instances, so that a long run keeps no other waiting."""
    printed = runbook("schedule", "export", "systemd").stdout
    assert "OnCalendar=minutely" in printed
    start = next(line for line in printed.splitlines() if line.startswith("ExecStart="))
    assert shlex.split(start.removeprefix("ExecStart="))[1:] == ["tick"]
    assert f"WorkingDirectory={tmp_path}" in printed
    assert "runbook-tick@{1..4}.timer" in printed
