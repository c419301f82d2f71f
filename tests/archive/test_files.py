"""Files that are written whole or not at all."""

import errno
import os
import threading
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


def test_an_error_of_the_last_sync_leaves_the_new_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer is told that it failed, and a reader finds the old file or the new one, never a part."""
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def broken(_: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files, "sync_folder", broken)
    with pytest.raises(ArchiveUnwritable, match="input/output error"):
        files.write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_every_byte_is_written_however_many_calls_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that writes less than it was given is no error."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, bytes(content[:3])))
    files.write_whole(tmp_path / "a", b"more than three bytes")
    assert (tmp_path / "a").read_bytes() == b"more than three bytes"


def test_folders_are_made_with_those_above_them(tmp_path: Path) -> None:
    """Once more is no error; a file in the way is one, and is named."""
    folder = tmp_path / "a/b/c"
    files.make_folder(folder)
    files.make_folder(folder)
    assert folder.is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveUnwritable, match=str(tmp_path / "file")):
        files.make_folder(tmp_path / "file/below")


def test_work_on_many_files_names_the_one_that_is_to_blame(tmp_path: Path) -> None:
    """The system's own path where it is below the folder, else the folder."""
    with (
        pytest.raises(ArchiveUnwritable, match=f"cannot use {tmp_path / 'missing'}: "),
        files.explained_below(tmp_path),
    ):
        (tmp_path / "missing").read_bytes()
    with pytest.raises(ArchiveUnwritable, match=f"cannot use {tmp_path}: "), files.explained_below(tmp_path):
        raise OSError(errno.EIO, "Input/output error")


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """Also in the folders below."""
    (tmp_path / "below").mkdir()
    for name in (".a.1.part", "below/.b.2.part", "kept", ".kept"):
        (tmp_path / name).write_text("")
    files.remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".kept", "below", "kept"]


def test_a_lock_that_somebody_holds_is_waited_for(tmp_path: Path) -> None:
    """The one who waits has it once the holder lets go."""
    held, order = files.lock_folder(tmp_path), []

    def wait() -> None:
        os.close(files.lock_folder(tmp_path))
        order.append("second")

    second = threading.Thread(target=wait)
    second.start()
    order.append("first")
    os.close(held)
    second.join(timeout=10)
    assert order == ["first", "second"]
