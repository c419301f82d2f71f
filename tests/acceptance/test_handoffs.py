"""Handoffs as a user types them: exit codes, what is printed, and what a program is given."""

import json
import subprocess
from pathlib import Path

import pytest

from ops_lib.archive.staging import events_of
from tests.acceptance.conftest import RUNBOOK, command, environment
from tests.eventually import eventually

HANDBOOK = Path(__file__).parents[1] / "handbook"
FRONT = "---\nid: TST-001\ntitle: A change\nhazard: read-only\nowner: devops\ntimeout: 2m\n---"
MOVED = 'handoff({"trigger": "backup_moved", "context": [{"place": "s3"}]}, to="etl")'


@pytest.fixture
def folder(home: Path, tmp_path: Path) -> Path:
    """A folder with a runbook that hands off, and its archive."""
    (tmp_path / "runbooks").mkdir()
    write(tmp_path, MOVED)
    return tmp_path


def write(folder: Path, *sources: str) -> None:
    """A runbook of some cells, without a target."""
    cells = [{"cell_type": "raw", "id": "front", "metadata": {}, "source": FRONT}]
    cells += [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
        for n, source in enumerate(("from ops_lib.runbook import *", *sources))
    ]
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    (folder / "runbooks/tst-001.ipynb").write_text(json.dumps(notebook))


def test_a_handoff_is_owed_until_it_is_acknowledged(home: Path, folder: Path) -> None:
    """From the run that makes it to the second person who acknowledges it too late."""
    ran = command(home, folder, "run", "TST-001")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "backup_moved to etl: owed until acknowledged" in ran.stdout
    (owed,) = json.loads(command(home, folder, "handoff", "list", "--json").stdout)
    assert (owed["from"], owed["to"], owed["state"], owed["closed"]) == ("devops", "etl", "owed", None)
    assert owed["id"] in command(home, folder, "waiting").stdout
    assert json.loads(command(home, folder, "waiting", "--json").stdout)["owed_handoffs"] == [owed]
    shown = command(home, folder, "handoff", "show", owed["id"][-4:])
    assert f"{owed['id']} from devops to etl" in shown.stdout
    (folder / "again.yaml").write_text(command(home, folder, "handoff", "show", owed["id"], "--yaml").stdout)
    assert command(home, folder, "handoff", "check", "again.yaml").returncode == 0
    whole = json.loads(command(home, folder, "handoff", "show", owed["id"], "--json").stdout)
    assert whole["message"] == {"trigger": "backup_moved", "from": "devops", "to": "etl", "context": {"place": "s3"}}
    done = command(home, folder, "handoff", "ack", owed["id"][-6:].lower(), "--note", "seen")
    assert done.returncode == 0, done.stderr
    late = command(home, folder, "handoff", "reject", owed["id"], "--reason", "no")
    assert (late.returncode, "was acknowledged by" in late.stderr) == (3, True)
    assert command(home, folder, "handoff", "list").stdout.strip() == "no handoff is owed"
    assert command(home, folder, "waiting").stdout.strip() == "nothing waits"
    for words in (("handoff", "list", "--all"), ("record", "last")):
        assert "acknowledged by" in command(home, folder, *words).stdout
    record = json.loads(command(home, folder, "record", "last", "--json").stdout)
    assert record["handoffs"][0]["acknowledged_at"] is None
    assert command(home, folder, "verify").returncode == 0


def test_a_message_is_brought_in_and_rejected(home: Path, folder: Path) -> None:
    """It is owed by us from then on; a rejection needs a reason, and stays in the list of all."""
    sent = command(home, folder, "handoff", "send", str(HANDBOOK / "pipeline_resource_exhausted.yaml"))
    assert sent.returncode == 0, sent.stderr
    (owed,) = json.loads(command(home, folder, "handoff", "list", "--json").stdout)
    assert (owed["from"], owed["to"], owed["run_id"]) == ("etl", "devops", None)
    assert "Connection pool exhausted" in command(home, folder, "handoff", "show", owed["id"]).stdout
    assert command(home, folder, "handoff", "reject", owed["id"]).returncode == 2
    assert command(home, folder, "handoff", "reject", owed["id"], "--reason", "the pool is full").returncode == 0
    listed = command(home, folder, "handoff", "list", "--all").stdout
    assert "rejected by" in listed
    assert "the pool is full" in listed
    assert command(home, folder, "handoff", "ack", "NOWHERE").returncode == 2
    assert command(home, folder, "verify").returncode == 0


def test_an_invalid_file_is_bad_input(home: Path, folder: Path) -> None:
    """One line with file, line and field; nothing is recorded."""
    text = (HANDBOOK / "database_migration_complete.yaml").read_text().replace("changes: false", "changes: maybe")
    (folder / "broken.yaml").write_text(text)
    for word in ("check", "send"):
        found = command(home, folder, "handoff", word, "broken.yaml")
        assert found.returncode == 2
        said = "runbook: broken.yaml: line 6: context.breaking_changes is 'maybe', expected true or false\n"
        assert found.stderr == said
    assert command(home, folder, "handoff", "send", "missing.yaml").returncode == 2
    assert json.loads(command(home, folder, "handoff", "list", "--all", "--json").stdout) == []


def test_a_killed_supervisor_leaves_its_handoff_owed_once(home: Path, folder: Path) -> None:
    """The next command seals what was handed off before the kill, and a resumed run does not do so again."""
    stays = "import pathlib, time\nwhile not pathlib.Path('go').exists():\n    time.sleep(0.05)"
    write(folder, MOVED, stays)
    supervisor = subprocess.Popen(
        [RUNBOOK, "run", "TST-001", "--no-daemon"], cwd=folder, env=environment(home), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert eventually(lambda: "handoff" in kinds(folder))
    supervisor.kill()
    supervisor.wait()
    (owed,) = json.loads(command(home, folder, "handoff", "list", "--json").stdout)
    (folder / "go").touch()
    again = command(home, folder, "resume", owed["run_id"], "--json")
    assert again.returncode == 0, again.stderr
    (carried,) = json.loads(again.stdout)["handoffs"]
    assert (carried["id"], carried["made_in"]) == (owed["id"], owed["run_id"])
    assert json.loads(command(home, folder, "handoff", "list", "--json").stdout) == [owed]
    assert command(home, folder, "verify").returncode == 0


def kinds(folder: Path) -> set[str]:
    """What the runs that are not sealed have journalled."""
    return {event["kind"] for staged in (folder / "outputs/staging").glob("[0-9A-Z]*") for event in events_of(staged)}
