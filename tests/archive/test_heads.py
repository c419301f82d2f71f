"""Keys and signed heads: made once, never for an entry that is not durable, never for another history."""

import base64
import multiprocessing
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops_lib.archive import files
from ops_lib.archive.copies import copy_head, name_of
from ops_lib.archive.heads import CACHE, HEAD, PUBLIC, Heads
from ops_lib.archive.keys import PRIVATE, Keys, read_keys, signer_of
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.verification import Trust, verify_archive
from ops_lib.archive.verifier import signed_slowly
from ops_lib.model.errors import ArchiveUnwritable, BadInput, DoesNotVerify, OpsError
from ops_lib.model.ledger import Entry, EntryKind

Seal = Callable[[int], Path]
AT = datetime(2026, 1, 1, tzinfo=UTC)


def own_key(folder: Path, answers: "multiprocessing.Queue[bytes]") -> None:
    """The public key that a process comes by."""
    keys = Keys(folder)
    keys.prepare()
    key = keys.own("x")
    assert key is not None
    answers.put(key.public)


def test_processes_at_once_make_one_key_that_only_its_user_can_read(tmp_path: Path) -> None:
    """Whole from the first moment on."""
    folder = tmp_path / "new/ops-runbooks"
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[bytes] = context.Queue()
    makers = [context.Process(target=own_key, args=(folder, answers)) for _ in range(4)]
    for maker in makers:
        maker.start()
    assert len({answers.get(timeout=60) for _ in makers}) == 1
    for maker in makers:
        maker.join()
    assert (folder.stat().st_mode & 0o777, (folder / PRIVATE).stat().st_mode & 0o777) == (0o700, 0o600)


def test_without_a_place_for_the_key_nothing_is_recorded(tmp_path: Path) -> None:
    """What cannot be signed is not written, and the error names the key's folder."""
    (tmp_path / "file").write_text("in the way")
    ledger = Ledger(tmp_path, Keys(tmp_path / "file/ops-runbooks"))
    with pytest.raises(ArchiveUnwritable, match="XDG_CONFIG_HOME") as caught:
        ledger.append(EntryKind.INTENT, at=AT, who="ana", body={})
    assert "file" in str(caught.value)
    assert ledger.lines() == []


def test_each_head_covers_the_whole_ledger_and_is_signed(tmp_path: Path, keys: Keys, seal_run: Seal) -> None:
    """By a key that lies in the archive, also according to a second implementation of the signature."""
    for number in range(3):
        seal_run(number)
        head = Heads(tmp_path).read()
        assert head is not None
        assert head.checkpoint.size == len(Ledger(tmp_path).lines())
        key = signer_of(head, read_keys([str(tmp_path / PUBLIC)]))
        assert key == keys.own(head.checkpoint.origin)
        assert key is not None
        value = head.signatures[0].value
        assert signed_slowly(key.public, value, head.checkpoint.body().encode())
        assert not signed_slowly(key.public, value, b"other")
        assert not signed_slowly(key.public, value[:63] + bytes([value[63] ^ 1]), head.checkpoint.body().encode())


def test_no_head_is_signed_before_its_entry_is_durable(
    tmp_path: Path, keys: Keys, seal_run: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the entry cannot be synced, the old head stays and the entry is gone again."""
    seal_run(1)
    before = (tmp_path / HEAD).read_bytes(), Ledger(tmp_path).lines()

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        with pytest.raises(ArchiveUnwritable):
            Ledger(tmp_path, keys).append(EntryKind.INTENT, at=AT, who="ana", body={})
    assert ((tmp_path / HEAD).read_bytes(), Ledger(tmp_path).lines()) == before


def test_an_entry_whose_head_was_not_written_never_counts(
    tmp_path: Path, keys: Keys, seal_run: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between entry and head is no fault, and is said; the next entry takes its place and says so too."""
    folder = seal_run(1)
    with monkeypatch.context() as patched:
        patched.setattr(Heads, "sign", lambda *_: None)
        prune = {"action": "prune", "reason": "never acknowledged"}
        Ledger(tmp_path, keys).append(EntryKind.TOMBSTONE, at=AT, who="ana", run_id=folder.name, body=prune)
    found = verify_archive(tmp_path)
    assert (found.faults, found.pruned) == ((), ())
    assert found.notes[0] == "1 entries stand behind the signed head: they were never acknowledged"
    seal_run(2)
    assert verify_archive(tmp_path).faults == ()
    kinds = [entry.kind for entry in Ledger(tmp_path, keys).entries()]
    assert kinds == ["intent", "result", "torn", "intent", "result"]


def test_what_was_put_behind_the_head_is_never_signed_for(tmp_path: Path, keys: Keys, seal_run: Seal) -> None:
    """More entries than a kill leaves, or one that breaks the chain: they are named, and nothing is added to them."""
    seal_run(1)
    ledger = tmp_path / "ledger.jsonl"
    honest = ledger.read_bytes()
    ledger.write_bytes(honest + honest.splitlines(keepends=True)[-1])
    assert [fault.where for fault in verify_archive(tmp_path).faults] == ["ledger.jsonl entry 2"]
    lines = honest.splitlines()
    for number in range(3):
        entry = Entry.after(lines[-1], seq=2 + number, at="", kind=EntryKind.TORN, run_id=None, who="eve", body={})
        lines.append(entry.line())
    ledger.write_bytes(b"\n".join(lines) + b"\n")
    assert [fault.where for fault in verify_archive(tmp_path).faults] == ["ledger.jsonl entry 2"]
    with pytest.raises(DoesNotVerify, match="more than a kill can leave"):
        seal_run(2)
    assert len(Ledger(tmp_path).lines()) == 5


def test_an_archive_of_another_place_is_not_signed_for(tmp_path: Path, keys: Keys, seal_run: Seal) -> None:
    """Somebody puts a whole archive of his own in the place of ours; the key remembers what was here."""
    seal_run(1)
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    stranger = Keys(keys.folder.with_name("stranger"))
    for _ in range(3):
        Ledger(tmp_path, stranger).append(EntryKind.TORN, at=AT, who="eve", body={})
    assert [fault.where for fault in verify_archive(tmp_path, Trust(own=keys)).faults] == [
        "the head that was signed last here"
    ]
    with pytest.raises(DoesNotVerify, match="not the ledger whose head was signed last"):
        seal_run(2)


def test_an_archive_that_is_gone_is_missed_and_begun_anew(tmp_path: Path, keys: Keys, seal_run: Seal) -> None:
    """Verification names it; the first entry of the next one says what was there before."""
    seal_run(1)
    shutil.rmtree(tmp_path)
    assert "its end was cut off" in verify_archive(tmp_path, Trust(own=keys)).faults[0].what
    seal_run(2)
    assert verify_archive(tmp_path, Trust(own=keys)).faults == ()
    first = next(Ledger(tmp_path, keys).entries())
    assert (first.kind, first.body["reason"]) == ("restored", "there was no archive any more")


@pytest.mark.parametrize("spoil", ["remove", "garbage", "lie", "older"])
def test_the_cache_is_believed_only_where_it_gives_the_signed_root(
    tmp_path: Path, seal_run: Seal, spoil: str
) -> None:  # fmt: skip
    """Whatever stands in it, heads go on from what is in the ledger."""
    seal_run(1)
    cache = tmp_path / CACHE
    older = cache.read_bytes()
    seal_run(2)
    if spoil == "remove":
        cache.unlink()
    elif spoil == "lie":
        cache.write_bytes(cache.read_bytes().replace(b'"size":4', b'"size":3'))
    else:
        cache.write_bytes(older if spoil == "older" else b"\x00\xff")
    seal_run(3)
    assert verify_archive(tmp_path).faults == ()


def test_an_edited_entry_is_not_blessed_by_the_next_head(tmp_path: Path, seal_run: Seal) -> None:
    """The root goes on from what was signed, so that the edit stays visible."""
    seal_run(1)
    seal_run(2)
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b'"who":"ana"', b'"who":"eve"', 1))
    seal_run(3)
    assert verify_archive(tmp_path).faults


def test_an_old_archive_put_back_is_not_signed_for(tmp_path: Path, keys: Keys, seal_run: Seal) -> None:
    """Nothing is added; verification names it; who lost the newer one for good says so, in the ledger."""
    seal_run(1)
    shutil.copytree(tmp_path, old := tmp_path.with_name(f"{tmp_path.name}-old"))
    seal_run(2)
    kept = Heads(tmp_path).read()
    shutil.rmtree(tmp_path)
    old.rename(tmp_path)
    with pytest.raises(DoesNotVerify, match="had 4 entries when it was signed last and has 2") as caught:
        seal_run(3)
    assert "--accept-loss" in str(caught.value)
    assert len(Ledger(tmp_path).lines()) == 2
    faults = verify_archive(tmp_path, Trust(own=keys)).faults
    assert [fault.where for fault in faults] == ["the head that was signed last here"]
    shutil.rmtree(tmp_path / "staging")
    Ledger(tmp_path, keys).append(EntryKind.RESTORED, at=AT, who="ana", body={"reason": "fire"}, despite_loss=True)
    seal_run(4)
    assert verify_archive(tmp_path, Trust(own=keys)).faults == ()
    assert kept is not None
    found = verify_archive(tmp_path, Trust(own=keys, kept={"kept": kept}))
    assert [fault.where for fault in found.faults] == ["kept", "ledger.jsonl entries"]


def test_another_history_of_the_same_length_is_not_signed_for(tmp_path: Path, keys: Keys, seal_run: Seal) -> None:
    """The key remembers not only how long a ledger was."""
    seal_run(1)
    shutil.copytree(tmp_path, old := tmp_path.with_name(f"{tmp_path.name}-old"))
    seal_run(2)
    shutil.rmtree(tmp_path)
    old.rename(tmp_path)
    stranger = Keys(keys.folder.with_name("stranger"))
    for _ in range(3):
        Ledger(tmp_path, stranger).append(EntryKind.RESTORED, at=AT, who="eve", body={})
    with pytest.raises(DoesNotVerify, match="not the ledger whose head was signed last"):
        seal_run(3)


def test_two_people_sign_one_archive_each_with_a_key_of_their_own(tmp_path: Path, keys: Keys, seal_run: Seal) -> None:
    """Both public keys lie in it; who brings only one along is told of the other's."""
    seal_run(1)
    other = Keys(keys.folder.with_name("other"))
    Ledger(tmp_path, other).append(EntryKind.TORN, at=AT, who="ben", body={})
    assert len(read_keys([str(tmp_path / PUBLIC)])) == 2
    found = verify_archive(tmp_path, Trust(own=keys))
    assert (found.faults, found.notes) == (
        (), ("besides your key 1 more of key.vkey count: give --key to count only those that you name",)
    )  # fmt: skip
    mine = keys.own(Ledger(tmp_path).heads.public()[0].name)
    assert mine is not None
    assert [fault.where for fault in verify_archive(tmp_path, Trust(given=[mine])).faults] == [HEAD]


def test_a_key_that_was_exchanged_in_the_archive_does_not_help_with_a_key_that_was_kept(
    tmp_path: Path, keys: Keys, seal_run: Seal
) -> None:
    """Who rewrites archive and key together passes only for a reader who brought no key along."""
    seal_run(1)
    (kept,) = read_keys([str(tmp_path / PUBLIC)])
    for name in (HEAD, PUBLIC, CACHE):
        (tmp_path / name).unlink()
    eve = Ledger(tmp_path, Keys(keys.folder.with_name("eve")))
    eve.append(EntryKind.TORN, at=AT, who="eve", body={}, despite_loss=True)
    faults = [str(fault) for fault in verify_archive(tmp_path, Trust(given=[kept])).faults]
    assert faults == ["head is not signed by a key that counts"]


def test_a_head_is_copied_to_a_folder_and_only_ever_extended(tmp_path: Path, keys: Keys, seal_run: Seal) -> None:
    """An archive that was rolled back cannot take its witness along."""
    place = tmp_path.with_name(f"{tmp_path.name}-witness")
    seal_run(1)
    with pytest.raises(OpsError, match="no folder"):
        copy_head(tmp_path, str(place), tmp_path)
    place.mkdir()
    copy_head(tmp_path, str(place), tmp_path)
    older = (tmp_path / HEAD).read_bytes(), (tmp_path / "ledger.jsonl").read_bytes()
    seal_run(2)
    copy_head(tmp_path, str(place), tmp_path)
    head = Heads(tmp_path).read()
    assert head is not None
    assert (place / name_of(head)).read_text() == head.text()
    files.write_whole(tmp_path / HEAD, older[0])
    files.write_whole(tmp_path / "ledger.jsonl", older[1])
    with pytest.raises(DoesNotVerify, match="of 4 entries that this archive does not have"):
        copy_head(tmp_path, str(place), tmp_path)
    assert (place / name_of(head)).read_text() == head.text()


def test_what_is_no_key_is_not_taken_for_one(tmp_path: Path) -> None:
    """Neither as a text nor as a file."""
    (tmp_path / "k").write_bytes(base64.b64encode(bytes(33)))
    for given in (str(tmp_path / "k"), str(tmp_path / "none"), "a+b+c"):
        with pytest.raises(BadInput, match="verifier key"):
            read_keys([given])
