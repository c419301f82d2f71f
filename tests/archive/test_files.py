"""Files that are written whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from ops_lib.archive import files
from ops_lib.model.errors import ArchiveUnwritable


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """After the call the new content stands there, and nothing beside it."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    files.write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_failed_write_leaves_the_old_file_and_names_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A full disk is reported with the path, and what was there stays."""
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(ArchiveUnwritable, match="no space is left") as caught:
        files.write_whole(path, b"new")
    monkeypatch.undo()
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_lock_is_free_once_its_holder_let_go(tmp_path: Path) -> None:
    """Two cannot hold a folder at once."""
    first = files.try_lock_folder(tmp_path)
    assert first is not None
    assert files.try_lock_folder(tmp_path) is None
    os.close(first)
    second = files.try_lock_folder(tmp_path)
    assert second is not None
    os.close(second)
