"""The catalogue: what is found, what stands in for what, and what is said about broken files."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from ops_lib.model.errors import BadRunbook
from ops_lib.notebooks.catalogue import find_runbook, read_catalogue

FRONT = "---\nid: {id}\ntitle: {title}\nhazard: read-only\nowner: devops\ntimeout: 15m\n---"


def write(folder, name, *, name_id="SOP-004", title="A title", parameters="days: int = 7  # n"):
    """A minimal runbook in a folder."""
    folder.mkdir(exist_ok=True)
    cells = [
        {"cell_type": "raw", "metadata": {}, "source": FRONT.format(id=name_id, title=title)},
        {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": parameters},
    ]
    path = folder / f"{name}.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}))
    return path


def test_runbooks_are_found_by_id_and_stem_in_any_case(tmp_path):
    """SOP-004, sop-004, the stem and the file's name all mean the same."""
    path = write(tmp_path, "sop-004-performance")
    catalogue = read_catalogue([tmp_path, tmp_path / "missing"])
    assert [runbook.id for runbook in catalogue.runbooks] == ["SOP-004"]
    assert catalogue.faults == ()
    for text in ("SOP-004", "sop-004", "SOP-004-Performance", "sop-004-performance.ipynb"):
        assert catalogue.find(text).path == str(path)


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path):
    """A misspelt id names the one that was meant."""
    write(tmp_path, "sop-004-performance")
    with pytest.raises(BadRunbook, match=r"there is no runbook 'SOP-005'.*did you mean SOP-004\?"):
        read_catalogue([tmp_path]).find("SOP-005")


def test_the_first_folder_wins_for_an_id(tmp_path):
    """A team's own file stands in for the standard one of the same id, under another name too."""
    write(tmp_path / "team", "ours", title="Ours")
    write(tmp_path / "standard", "sop-004-performance", title="Theirs")
    write(tmp_path / "standard", "sop-001-migration", name_id="SOP-001")
    catalogue = read_catalogue([tmp_path / "team", tmp_path / "standard"])
    assert [runbook.title for runbook in catalogue.runbooks] == ["A title", "Ours"]


def test_one_id_twice_in_a_folder_is_a_fault_that_names_both(tmp_path):
    """Neither of the two runs, and the other runbooks still do."""
    write(tmp_path, "first")
    write(tmp_path, "second")
    write(tmp_path, "third", name_id="SOP-001")
    catalogue = read_catalogue([tmp_path])
    assert [runbook.id for runbook in catalogue.runbooks] == ["SOP-001"]
    assert {fault.path.name for fault in catalogue.faults} == {"first.ipynb", "second.ipynb"}
    with pytest.raises(BadRunbook, match=r"first\.ipynb.*second\.ipynb"):
        catalogue.find("SOP-004")


def test_one_broken_file_never_hides_the_others(tmp_path):
    """Every kind of broken file is named with its fault, and the good one is there."""
    write(tmp_path, "good", name_id="SOP-001")
    write(tmp_path, "code", parameters="import os")
    write(tmp_path, "yaml", title="[")
    (tmp_path / "text.ipynb").write_text("hello")
    (tmp_path / "folder.ipynb").mkdir()
    (tmp_path / "dangling.ipynb").symlink_to(tmp_path / "nothing")
    (tmp_path / "huge.ipynb").touch()
    os.truncate(tmp_path / "huge.ipynb", 10**11)
    (tmp_path / ".hidden.ipynb").write_text("hello")
    (tmp_path / "notes.txt").write_text("hello")
    catalogue = read_catalogue([tmp_path])
    assert [runbook.id for runbook in catalogue.runbooks] == ["SOP-001"]
    said = {fault.path.stem: fault.message for fault in catalogue.faults}
    assert set(said) == {"code", "yaml", "text", "folder", "dangling", "huge"}
    assert "parameters cell: line 1" in said["code"]
    assert "front matter: line" in said["yaml"]
    assert "not JSON" in said["text"]
    assert not any("\n" in message for message in said.values())


def test_a_broken_file_is_not_replaced_unseen(tmp_path):
    """Where a team's own file is broken, the standard one does not run in its place."""
    write(tmp_path / "standard", "sop-004-performance")
    write(tmp_path / "standard", "sop-001-migration", name_id="SOP-001")
    write(tmp_path / "team", "ours", parameters="import os")
    (tmp_path / "team" / "sop-001-migration.ipynb").write_text("{")
    catalogue = read_catalogue([tmp_path / "team", tmp_path / "standard"])
    assert catalogue.runbooks == ()
    with pytest.raises(BadRunbook, match=r"ours\.ipynb: parameters cell"):
        catalogue.find("sop-004")
    with pytest.raises(BadRunbook, match="not JSON"):
        catalogue.find("SOP-001")


def test_one_is_found_as_in_the_whole_catalogue(tmp_path):
    """By whatever name: files that are not read because they seem to have nothing to do with it make no difference."""
    team, standard = tmp_path / "team", tmp_path / "standard"
    write(standard, "sop-004-performance")
    write(standard, "sop-001-migration", name_id="SOP-001")
    write(standard, "sop-002-rollback", name_id="SOP-002")
    write(standard, "rev-capacity", name_id="REV-CAPACITY")
    write(team, "ours", title="Ours")
    write(team, "sop-002-again", name_id="SOP-002")
    write(team, "sop-002-too", name_id="SOP-002")
    write(team, "sop-003", parameters="import os", name_id="SOP-003")
    (team / "sop-001-migration.ipynb").write_text("{")
    (team / "huge.ipynb").touch()
    os.truncate(team / "huge.ipynb", 10**11)
    names = [path.stem for path in tmp_path.glob("*/*.ipynb")]
    for text in (
        *names,
        "SOP-004",
        "sop-001",
        "SOP-002",
        "SOP-003",
        "SOP-009",
        "rev-capacity",
        " SOP-004 ",
        "",
        "\udc80",
    ):
        assert told(find_runbook, [team, standard], text) == told(_in_all, [team, standard], text), text


def _in_all(folders, text):
    return read_catalogue(folders).find(text)


def told(find, folders, text):
    try:
        return find(folders, text)
    except BadRunbook as error:
        return str(error)


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    """A path that is no folder is a fault, not a crash."""
    (tmp_path / "runbooks").write_text("")
    (fault,) = read_catalogue([tmp_path / "runbooks"]).faults
    assert "cannot be read" in fault.message


def test_the_digest_is_of_the_file(tmp_path):
    """A record names the bytes that ran."""
    path = write(tmp_path, "x")
    (runbook,) = read_catalogue([tmp_path]).runbooks
    assert runbook.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_nothing_heavy_is_imported():
    """Listing runbooks must answer at once, so Jupyter, pandas and pydantic stay out."""
    code = "import sys, ops_lib.notebooks.catalogue; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["nbformat", "papermill", "pandas", "pydantic", "matplotlib", "jinja2", "mistune", "nh3", "rich", "psycopg"]
    answer = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
