"""The main job as a stranger does it: one command, a verdict, its remedies, a healthy verdict."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import command

ACUTE = {("raw.odds_history", "dropped-index"), ("staging.player_game_stats", "stale-statistics")}


@pytest.fixture(scope="module")
def folder(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demonstration was played from nothing."""
    made = tmp_path_factory.mktemp("demonstration")
    done = command(home, made, "demo", "reset")
    assert done.returncode == 0, done.stderr
    screen = done.stdout.splitlines()
    assert len(screen) <= 24
    assert screen[-1].startswith("report  outputs/records/")
    return made


def investigate(home: Path, folder: Path) -> dict[str, Any]:
    """The record of an investigation, as `--json` prints it."""
    done = command(home, folder, "run", "SOP-004", "--json")
    assert done.returncode == 0, done.stderr
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def acute(record: dict[str, Any]) -> list[dict[str, Any]]:
    """What is to be acted on."""
    return [finding for finding in record["findings"] if finding["severity"] != "info"]


def test_it_names_the_causes_and_falls_silent_once_they_are_mended(home: Path, folder: Path) -> None:
    """The dropped index and the stale statistics rank first and second; after their remedies neither is named."""
    record = investigate(home, folder)
    first, second = record["findings"][:2]
    assert {(first["subject"], first["cause"]), (second["subject"], second["cause"])} == ACUTE
    assert (first["rank"], second["rank"]) == (1, 2)
    assert first["evidence"]
    assert record["target"]["guard"] == "role"
    assert record["statements"]
    remedies = folder / "remedies.sql"
    remedies.write_text("\n".join(finding["remedy"]["sql"] for finding in acute(record)[:2]))
    mended = command(home, folder, "demo", "psql", "-v", "ON_ERROR_STOP=1", "-f", str(remedies))
    assert mended.returncode == 0, mended.stderr
    after = investigate(home, folder)
    assert acute(after) == []
    assert set(after["since_last"]["gone"]) >= {first["key"], second["key"]}
    assert command(home, folder, "verify").returncode == 0


def test_a_second_demonstration_does_not_load_again(home: Path, folder: Path) -> None:
    """Nothing that was done is done again."""
    again = command(home, folder, "demo")
    assert again.returncode == 0
    assert "loading" not in again.stderr
    assert "SOP-004" in again.stdout


def test_a_verdict_for_a_chat(home: Path, folder: Path) -> None:
    """Markdown of the last record."""
    done = command(home, folder, "record", "last", "--markdown")
    assert done.returncode == 0
    assert "SOP-004" in done.stdout


def test_the_report_needs_nothing_from_outside(home: Path, folder: Path) -> None:
    """One file, without a script and without a reference."""
    newest = max((folder / "outputs/records").rglob("report.html"))
    page = newest.read_text()
    assert "<script" not in page
    assert "http" not in page.split("<body", 1)[1].replace("http-equiv", "")
    assert "default-src 'none'" in page
