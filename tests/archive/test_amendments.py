"""What is taken out of records: verification holds, says so, and stays strict; a kill at any point is finished."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops_lib.archive.amendments import Amendments
from ops_lib.archive.evidence import verify_folder
from ops_lib.archive.heads import PUBLIC
from ops_lib.archive.keys import Keys, read_keys
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.verification import verify_archive
from ops_lib.archive.verifier import faults_of, keys_of

Seal = Callable[[int], Path]
AT = datetime(2026, 6, 1, tzinfo=UTC)
STAMP = {"reason": "a password", "at": AT, "who": "ben"}


def test_a_replaced_file_verifies_as_redacted_and_any_other_change_does_not(
    tmp_path: Path, keys: Keys, seal_run: Seal
) -> None:
    """In the archive, as a folder by itself, and for the single-file verifier; a second time as well."""
    seal_run(1)
    folder = seal_run(2)
    for text in (b"gone", b"gone again"):
        contents = {"attachments/evidence.txt": text}
        Amendments(tmp_path, keys).replace(folder.name, contents.copy, **STAMP)
        seal_run(text.count(b" ") + 3)
        found = verify_archive(tmp_path)
        assert (found.faults, found.redacted) == ((), (folder.name,))
        alone = verify_folder(folder, read_keys([str(tmp_path / PUBLIC)]))
        assert (alone.faults, alone.redacted) == ((), (folder.name,))
        assert faults_of(folder, keys_of((tmp_path / PUBLIC).read_text())) == []
    for name in ("attachments/evidence.txt", "report.html"):
        path = folder / name
        before = path.read_bytes()
        path.write_bytes(before + b" ")
        assert [fault.where for fault in verify_archive(tmp_path).faults] == [path.relative_to(tmp_path).as_posix()]
        assert faults_of(folder, keys_of((tmp_path / PUBLIC).read_text())) == [f"{name} was changed"]
        path.write_bytes(before)


def test_a_removed_record_verifies_as_pruned_until_it_is_put_back(tmp_path: Path, keys: Keys, seal_run: Seal) -> None:
    """Its entries stay, and the folders of days that hold nothing more go."""
    folder, other = seal_run(1), seal_run(40)
    shutil.copytree(folder, tmp_path / "copy")
    Amendments(tmp_path, keys).remove(folder.name, **STAMP)
    found = verify_archive(tmp_path)
    assert (found.faults, found.pruned, found.records) == ((), (folder.name,), 1)
    assert not folder.parent.exists()
    assert other.exists()
    shutil.copytree(tmp_path / "copy", folder)
    assert [fault.what for fault in verify_archive(tmp_path).faults] == ["was pruned, and is there"]


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it to tidy up."""


@pytest.mark.parametrize("action", ["replace", "remove"])
def test_a_kill_at_any_call_is_finished_or_undone_by_the_next_command(
    tmp_path: Path, keys: Keys, seal_run: Seal, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """At every write, sync, rename and removal in turn; in between the archive never fails to verify."""
    seal_run(0)
    for number in range(1, 200):
        folder = seal_run(number)
        with monkeypatch.context() as patched:
            count = _killing_at(patched, number)
            with suppress(Killed):
                _amend(tmp_path, keys, folder, action)
        declared = len(Ledger(tmp_path).all_of_run(folder.name)) == 3
        assert verify_archive(tmp_path).faults == (), f"kill {number}"
        Amendments(tmp_path, keys).finish_abandoned()
        found = verify_archive(tmp_path)
        assert found.faults == (), f"kill {number}"
        assert (folder.name in found.pruned + found.redacted) == declared
        assert list((tmp_path / "amending").glob("*")) == []
        assert folder.exists() == (action == "replace" or not declared)
        if count[0] < number:  # it came to its end unharmed
            return
    raise AssertionError("it never came to its end")


def _amend(root: Path, keys: Keys, folder: Path, action: str) -> None:
    amendments = Amendments(root, keys)
    if action == "remove":
        amendments.remove(folder.name, **STAMP)
    else:
        contents = {"report.html": b"gone", "attachments/evidence.txt": b"gone"}
        amendments.replace(folder.name, contents.copy, **STAMP)


def _killing_at(patched: pytest.MonkeyPatch, number: int) -> list[int]:
    """Kill before the call of this number among those that change something; how many there were so far."""
    count = [0]

    def wrapped(call: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object, **options: object) -> object:
            count[0] += 1
            if count[0] >= number:
                raise Killed
            return call(*arguments, **options)

        return counted

    for name in ("write", "fsync", "rename", "replace", "unlink", "rmdir", "mkdir"):
        patched.setattr(os, name, wrapped(getattr(os, name)))
    return count
