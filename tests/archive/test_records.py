"""Sealed records, and what a verification finds."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops_lib.archive.keys import Keys
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import Records
from ops_lib.archive.staging import Staging
from ops_lib.archive.verification import verify_archive, verify_run
from ops_lib.model.errors import BadInput
from ops_lib.model.ledger import EntryKind

Seal = Callable[[int], Path]


def faults(root: Path) -> list[str]:
    """What does not fit, as text."""
    return [str(fault) for fault in verify_archive(root).faults]


def test_a_sealed_run_is_found_and_verifies(tmp_path: Path, seal_run: Seal) -> None:
    """By id, by the end of its id, and as the last one."""
    folder, kept = seal_run(1), Records(tmp_path)
    assert folder == tmp_path / "records/2026/01/01" / folder.name
    assert kept.find(folder.name) == kept.find(folder.name[-6:].lower()) == kept.find("last") == folder
    assert {f["path"] for f in kept.read(folder)["files"]} == {
        "notebook.ipynb", "report.html", "journal.jsonl", "attachments/evidence.txt",
    }  # fmt: skip
    assert faults(tmp_path) == []
    assert not verify_run(tmp_path, folder).faults
    assert list((tmp_path / "staging").iterdir()) == []


@pytest.mark.parametrize("text", ["../../etc", "zz", "", "01KDVDNA000000000000000000", "*"])
def test_what_names_no_run_is_refused(tmp_path: Path, seal_run: Seal, text: str) -> None:
    """Nothing outside the archive is ever looked at."""
    seal_run(1)
    with pytest.raises(BadInput):
        Records(tmp_path).find(text)


FILES = ["record.json", "notebook.ipynb", "report.html", "journal.jsonl", "proof.json", "attachments/evidence.txt"]


@pytest.mark.parametrize("name", FILES)
def test_a_removed_file_is_named(tmp_path: Path, seal_run: Seal, name: str) -> None:
    """Also the proof."""
    (seal_run(1) / name).unlink()
    assert any(name in fault and "missing" in fault for fault in faults(tmp_path))


def test_an_added_file_a_removed_and_a_strange_record_are_named(tmp_path: Path, seal_run: Seal) -> None:
    """A record can neither vanish nor appear."""
    first, second = seal_run(1), seal_run(2)
    (first / "extra.txt").write_text("hello")
    assert faults(tmp_path) == [f"{first.relative_to(tmp_path)}/extra.txt was added"]
    (first / "extra.txt").unlink()
    stranger = first.with_name("01KDVDNA000000000000000000")
    shutil.copytree(second, stranger)
    shutil.rmtree(second)
    found = faults(tmp_path)
    assert f"{second.relative_to(tmp_path)} is missing" in found
    assert f"{stranger.relative_to(tmp_path)} is a record that the ledger does not know" in found


def test_a_file_that_became_a_link_to_the_same_content_is_named(tmp_path: Path, seal_run: Seal) -> None:
    """A link can be changed behind the archive's back."""
    path = seal_run(1) / "report.html"
    outside = tmp_path.with_name(tmp_path.name + "-outside")
    path.rename(outside)
    path.symlink_to(outside)
    assert faults(tmp_path) == [f"{path.relative_to(tmp_path)} was changed: it is no plain file"]


def test_a_cut_and_a_changed_ledger_are_named(tmp_path: Path, seal_run: Seal) -> None:
    """The ledger's own lines are checked before anything else."""
    seal_run(1)
    seal_run(2)
    ledger = tmp_path / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join([*lines[:1], *lines[2:]]))
    assert faults(tmp_path) == ["ledger.jsonl entry 1 says that it is number 2"]
    ledger.write_bytes(b"".join(lines[:2]))
    assert any("is a record that the ledger does not know" in fault for fault in faults(tmp_path))


def test_a_begun_run_that_was_removed_is_named(tmp_path: Path, keys: Keys) -> None:
    """An intent without a result is a run that somebody made vanish, unless it is still staged."""
    run_id = "01KDVDNA000000000000000000"
    staging = Staging.create(tmp_path, run_id)
    Ledger(tmp_path, keys).append(EntryKind.INTENT, at=datetime.now(UTC), who="ana", run_id=run_id, body={})
    assert faults(tmp_path) == []
    assert verify_archive(tmp_path).unfinished == (run_id,)
    staging.discard()
    assert faults(tmp_path) == [f"staging/{run_id} was begun and never sealed, and is gone"]


def test_a_crash_between_entry_and_rename_is_finished_later(
    tmp_path: Path, keys: Keys, seal_run: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the ledger has the result, the record only lacks its last steps."""
    crashed: list[Staging] = []
    with monkeypatch.context() as patched:
        patched.setattr(Records, "_place", lambda _, staging, proof: crashed.append(staging))
        seal_run(1)
    assert verify_archive(tmp_path).unfinished == (crashed[0].run_id,)
    crashed[0].close()
    (found,) = Staging.abandoned(tmp_path)
    folder = Records(tmp_path, keys).finish(found)
    assert faults(tmp_path) == []
    assert (folder / "proof.json").is_file()


def test_a_staged_run_belongs_to_whoever_holds_its_lock(tmp_path: Path) -> None:
    """Recovery never touches a run whose supervisor lives."""
    staging = Staging.create(tmp_path, "01KDVDNA000000000000000000")
    staging.append({"kind": "opened"}, durable=True)
    assert list(Staging.abandoned(tmp_path)) == []
    staging.close()
    (found,) = Staging.abandoned(tmp_path)
    assert found.events == [{"kind": "opened"}]
    found.close()


def test_a_torn_journal_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    """And what follows goes on from there."""
    staging = Staging.create(tmp_path, "01KDVDNA000000000000000000")
    staging.append({"kind": "opened"})
    staging.close()
    journal = staging.folder / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole[: len(whole) // 2])
    (found,) = Staging.abandoned(tmp_path)
    found.clear_leftovers()
    assert journal.read_bytes() == whole
    found.close()
