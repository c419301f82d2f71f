"""Backups as a team has them: a scheduled runbook that takes one, and a drill that needs no target."""

import json
from pathlib import Path

from tests.acceptance.conftest import Command


def test_a_backup_is_taken_and_proven(runbook: Command, tmp_path: Path) -> None:
    """The demonstration is saved as a role that only reads; afterwards a drill repeats it, and shows the trend."""
    assert runbook("demo").returncode == 0
    done = runbook("run", "OPS-BACKUP", "--json")
    record = json.loads(done.stdout)
    assert (done.returncode, record["outcome"], record["findings"]) == (0, "succeeded", [])
    assert record["metrics"]["recovery_time"]["unit"] == "s"
    (folder,) = [path for path in (tmp_path / "backups").iterdir() if path.is_dir()]
    assert f"proof-{folder.name}.json" in {Path(file["path"]).name for file in record["files"]}
    assert json.loads((folder / "proof.json").read_text())["proven_at"]

    drilled = json.loads(runbook("run", "OPS-RESTORE-DRILL", "--json").stdout)
    assert (drilled["outcome"], drilled["target"], drilled["findings"]) == ("succeeded", None, [])
    events = [json.loads(line)["event"] for line in (tmp_path / "backups/index.jsonl").read_text().splitlines()]
    assert events == ["taken", "drilled", "drilled"]


def test_a_damaged_backup_is_a_critical_finding(runbook: Command, tmp_path: Path) -> None:
    """The run has succeeded, and found what there is to find."""
    assert runbook("demo").returncode == 0
    assert runbook("run", "OPS-BACKUP", "-p", "prove=false").returncode == 0
    (toc,) = (tmp_path / "backups").glob("*/content/dump/toc.dat")
    toc.write_bytes(toc.read_bytes()[:-1])
    done = runbook("run", "OPS-RESTORE-DRILL", "--json", "--fail-on", "critical")
    (first, *_) = json.loads(done.stdout)["findings"]
    assert (done.returncode, first["cause"], first["evidence"]["check"]) == (7, "backup-damaged", "files")
    assert "toc.dat has" in first["summary"]


def test_settings_that_are_wrong_are_named(runbook: Command, tmp_path: Path) -> None:
    """Before anything is written."""
    (tmp_path / "infrastructure").mkdir()
    (tmp_path / "infrastructure/settings.yaml").write_text("backups: {recipients: age1}\n")
    done = runbook("run", "OPS-RESTORE-DRILL", "--json")
    assert json.loads(done.stdout)["error"]["message"] == "recipients of backups is not a list of keys"
    assert not (tmp_path / "backups").exists()
