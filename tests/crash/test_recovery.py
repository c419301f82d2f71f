"""Recovery where something stands in its way: it never deletes, never stops the others, and never takes a live run."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops_lib.archive.records import Records
from ops_lib.archive.staging import JOURNAL, Staging, forget_nameless
from ops_lib.archive.verification import verify_archive
from ops_lib.model.errors import ArchiveUnwritable
from ops_lib.model.ledger import Entry, EntryKind
from ops_lib.operations import owner
from ops_lib.operations.recover import recover
from ops_lib.operations.run import declare_intent
from tests.crash import story, tamper


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive with one sealed run."""
    return tamper.grow(tmp_path, [0])


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """Another process that lives."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.communicate()


def abandon(archive: Path, number: int, by: object = None) -> Path:
    """A run whose supervisor is gone, begun by some process."""
    staging = Staging.create(archive, story.run_id(number))
    opened = {"kind": "opened", "at": "2026-01-01T00:00:00.000Z", "run_id": staging.run_id, "owner": by}
    staging.append({**opened, "software": {}, **story.opened()}, durable=True)
    declare_intent(story.desk(archive), staging)
    staging.close()
    return staging.folder


def test_what_hinders_one_run_does_not_hinder_another(archive: Path) -> None:
    """A run whose journal was damaged stays and is named; the other is sealed."""
    lost, other = abandon(archive, 1), abandon(archive, 2)
    (lost / JOURNAL).write_bytes(b"")
    recovery = recover(story.desk(archive))
    assert recovery.sealed == (other.name,)
    assert "lost its journal" in recovery.failed[lost.name]
    assert lost.is_dir()
    assert verify_archive(archive).unfinished == (lost.name,)


def test_a_run_that_wrote_nothing_durable_never_began(archive: Path) -> None:
    """Neither a folder without a journal nor one without a name is left."""
    (archive / "staging" / story.run_id(1)).mkdir()
    (archive / "staging" / f".{story.run_id(2)}").mkdir()
    recovery = recover(story.desk(archive))
    assert (recovery.sealed, recovery.failed) == ((), {})
    assert list((archive / "staging").iterdir()) == []


def test_what_claims_to_be_a_run_is_not_sealed(archive: Path) -> None:
    """Somebody without the key plants a journal, and an entry behind the head that speaks of it: nothing is signed."""
    planted = abandon(archive, 1)
    kept = planted.with_name("kept")
    planted.rename(kept)
    name = story.run_id(2)
    kept.rename(planted.with_name(name))
    ledger = archive / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines()
    body = {"outcome": "succeeded", "files": [], "record": ""}
    entry = Entry.after(lines[-1], seq=len(lines), at="", kind=EntryKind.RESULT, run_id=name, who="eve", body=body)
    ledger.write_bytes(ledger.read_bytes() + entry.line() + b"\n")
    recovery = recover(story.desk(archive))
    assert (recovery.sealed, recovery.failed) == ((), {})
    assert list((archive / "staging").iterdir()) == []


def test_a_run_that_is_being_made_is_not_forgotten(archive: Path) -> None:
    """Its folder is locked before it has its name."""
    staging = Staging.create(archive, story.run_id(1))
    staging.folder.rename(staging.folder.with_name(f".{staging.run_id}"))
    forget_nameless(archive)
    assert staging.folder.with_name(f".{staging.run_id}").is_dir()
    staging.close()


def test_an_earlier_record_that_cannot_be_read_hinders_no_other(archive: Path) -> None:
    """It is for `verify` to name; runs that come after it are sealed."""
    (Records(archive).folder_of(story.run_id(0)) / "record.json").write_text("no record")
    abandoned = abandon(archive, 1)
    assert recover(story.desk(archive)).sealed == (abandoned.name,)


def test_a_run_whose_supervisor_lives_is_left_alone(archive: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    """Also where its folder's lock is not kept; once it is gone, or in another boot, the run is sealed."""
    lives = {**owner.this_process(), "pid": sleeper.pid, "started": owner.started(sleeper.pid)}
    folder = abandon(archive, 1, lives)
    assert recover(story.desk(archive)).sealed == ()
    assert folder.is_dir()
    assert owner.lives(lives)
    assert not owner.lives({**lives, "boot_id": "another"})
    assert not owner.lives({**lives, "started": lives["started"] + 1})
    sleeper.kill()
    sleeper.wait()
    assert recover(story.desk(archive)).sealed == (folder.name,)


def test_a_journal_that_failed_once_takes_nothing_more(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a line may stand at its end; what was acknowledged before it is recovered, and nothing after it."""
    folder = abandon(archive, 1)
    (found,) = Staging.abandoned(archive)
    found.close()
    staging = Staging.create(archive, story.run_id(2))
    opened = {"kind": "opened", "at": "2026-01-01T00:00:00.000Z", "run_id": staging.run_id, "software": {}}
    staging.append({**opened, **story.opened()}, durable=True)
    declare_intent(story.desk(archive), staging)
    with monkeypatch.context() as patched:
        patched.setattr("ops_lib.archive.files.write_all", _half)
        with pytest.raises(ArchiveUnwritable, match="no space"):
            staging.append({"kind": "note", "text": "half"})
    with pytest.raises(ArchiveUnwritable, match="no space"):
        staging.append({"kind": "note", "text": "after"}, durable=True)
    staging.close()
    assert set(recover(story.desk(archive)).sealed) == {folder.name, staging.run_id}
    journal = (Records(archive).folder_of(staging.run_id) / JOURNAL).read_bytes()
    assert journal.count(b"\n") == 1
    assert journal.endswith(b"\n")
    assert verify_archive(archive).faults == ()


def _half(descriptor: int, content: bytes) -> None:
    os.write(descriptor, content[: len(content) // 2])
    raise OSError(errno.ENOSPC, "No space left on device")
