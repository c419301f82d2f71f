"""Resume and approve as a user types them: exit codes, what is printed, and what a script has to give."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import command

TARGETS = "demo: {kind: postgres, embedded: true, approvals: 1}\n"
FRONT = "---\nid: TST-001\ntitle: A change\nhazard: changes\nowner: ana\ntimeout: 2m\nneeds: [target:postgres]\n---"
CELLS = (
    "from ops_lib.runbook import *",
    'p = plan("CREATE TEMP TABLE seen AS SELECT 1 AS a", title="Remember one")\np',
    "approved(p)",
    'step("apply", p.apply)',
)
Type = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a runbook that asks, on a demonstration that demands an approval."""
    made = tmp_path_factory.mktemp("waiting")
    done = command(home, made, "demo")
    assert done.returncode == 0, done.stderr
    (made / "infrastructure").mkdir()
    (made / "infrastructure/targets.yaml").write_text(TARGETS)
    (made / "runbooks").mkdir()
    write(made, "TST-001", *CELLS)
    return made


def write(folder: Path, name: str, *sources: str) -> None:
    """A runbook of some cells."""
    cells = [{"cell_type": "raw", "id": "front", "metadata": {}, "source": FRONT.replace("TST-001", name)}]
    cells += [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
        for n, source in enumerate(sources)
    ]
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    (folder / f"runbooks/{name.lower()}.ipynb").write_text(json.dumps(notebook))


def test_a_run_waits_until_its_digest_is_given(home: Path, folder: Path) -> None:
    """Exit code 4 and no record; nobody says yes without a terminal or the digest; then the same run succeeds."""
    ran = command(home, folder, "run", "TST-001", "--json", "--reason", "to see")
    assert ran.returncode == 4, ran.stdout + ran.stderr
    asked = json.loads(ran.stdout)
    assert (asked["state"], asked["missing"], asked["plan"]["objects"]) == ("waiting", 1, ["seen"])
    assert f"runbook approve {asked['run_id']}" in ran.stderr
    listed = command(home, folder, "waiting")
    assert asked["run_id"] in listed.stdout
    silent = command(home, folder, "approve", asked["run_id"])
    assert silent.returncode == 3
    assert "silence is no yes" in silent.stderr
    for shown in ("Remember one", "CREATE TEMP TABLE seen", asked["digest"], "to see"):
        assert shown in silent.stdout
    wrong = command(home, folder, "approve", asked["run_id"], "--yes", "0" * 64)
    assert (wrong.returncode, command(home, folder, "waiting", "--json").stdout.count("waiting")) == (3, 2)
    done = command(home, folder, "approve", asked["run_id"], "--yes", asked["digest"], "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads(done.stdout)
    assert (record["run_id"], record["approvals"][0]["digest"]) == (asked["run_id"], asked["digest"])
    assert command(home, folder, "waiting").stdout.strip() == "nothing waits"
    assert command(home, folder, "verify").returncode == 0


def test_a_broken_glass_is_seen_in_the_list(home: Path, folder: Path) -> None:
    """In the verdict, in the list of records, and among what waits until somebody else has reviewed it."""
    ran = command(home, folder, "run", "TST-001", "--break-glass", "it burns")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "BREAK-GLASS by" in ran.stdout
    assert "succeeded BREAK-GLASS" in command(home, folder, "records").stdout
    assert "not reviewed" in command(home, folder, "waiting").stdout
    own = command(home, folder, "review", "last", "--note", "fine")
    assert own.returncode == 3
    assert "somebody else has to review it" in own.stderr


def test_a_run_that_died_is_resumed_as_it_says(home: Path, folder: Path) -> None:
    """The command to go on is printed; what ended is carried, and the rest is done."""
    marker = folder / "died"
    dies = f"import os, pathlib\ndied = pathlib.Path({str(marker)!r})\n"
    dies += "died.exists() or (died.touch(), os.kill(os.getpid(), 9))"
    write(folder, "TST-002", *CELLS, dies, 'step("more", lambda: 7)')
    ran = command(home, folder, "run", "TST-002", "--break-glass", "no time")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    run_id = ran.stderr.split("runbook resume ")[1].split()[0]
    again = command(home, folder, "resume", run_id, "--break-glass", "no time", "--json")
    assert again.returncode == 0, again.stdout + again.stderr
    record = json.loads(again.stdout)
    assert record["resumes"] == run_id
    assert [(step["name"], step["status"]) for step in record["steps"]] == [("apply", "carried"), ("more", "done")]


def test_what_has_succeeded_is_not_resumed(home: Path, folder: Path) -> None:
    """Refused before anything is recorded, and a word that means nothing is bad input."""
    assert command(home, folder, "run", "TST-001", "--break-glass", "again").returncode == 0
    again = command(home, folder, "resume", "last")
    assert (again.returncode, "has succeeded" in again.stderr) == (3, True)
    assert command(home, folder, "resume", "last", "--step", "apply=maybe").returncode == 2
