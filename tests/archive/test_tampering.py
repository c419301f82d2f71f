"""Every altered bit, and every attack on the order and number of things, is caught and named; nothing else is."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops_lib.archive.evidence import verify_folder
from ops_lib.archive.heads import HEAD, PUBLIC, Heads
from ops_lib.archive.keys import Keys, read_keys
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import Records
from ops_lib.archive.staging import Staging
from ops_lib.archive.verification import Trust, verify_archive, verify_run
from ops_lib.archive.verifier import faults_of, keys_of
from ops_lib.model import ulid
from ops_lib.model.ledger import GENESIS, EntryKind, canonical, sha256

Seal = Callable[[int], Path]
AT = datetime(2026, 1, 1, tzinfo=UTC)
FILES = ["record.json", "notebook.ipynb", "report.html", "journal.jsonl", "proof.json", "attachments/evidence.txt"]


def faults(root: Path, trust: Trust | None = None) -> list[str]:
    """What does not fit, as text."""
    return [str(fault) for fault in verify_archive(root, trust).faults]


def altered(path: Path, *, step: int = 1) -> Iterator[int]:
    """A file with one bit after the other turned over; as it was in the end."""
    original = path.read_bytes()
    for bit in range(0, len(original) * 8, step):
        content = bytearray(original)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        yield bit
    path.write_bytes(original)


@pytest.fixture
def small(tmp_path: Path, keys: Keys) -> Path:
    """The only record of an archive, as small as one can be."""
    staging = Staging.create(tmp_path, ulid.make(AT, bytes(10)))
    Ledger(tmp_path, keys).append(EntryKind.INTENT, at=AT, who="ana", run_id=staging.run_id, body={})
    return Records(tmp_path, keys).seal(staging, {"outcome": "failed"}, at=AT, who="ana")


@pytest.mark.parametrize("name", ["record.json", "proof.json"])
def test_every_bit_of_a_record_and_its_proof_counts(tmp_path: Path, small: Path, name: str) -> None:
    """Without the ledger, with nothing but the folder and a key."""
    folder = small
    keys = read_keys([str(tmp_path / PUBLIC)])
    assert not verify_folder(folder, keys).faults
    for bit in altered(folder / name):
        found = verify_folder(folder, keys).faults
        assert found, f"bit {bit}"
        assert found[0].where == f"{folder.name}/{name}"
    assert not verify_folder(folder, keys).faults


@pytest.mark.parametrize("name", ["ledger.jsonl", HEAD])
def test_every_bit_of_the_ledger_and_its_head_counts(tmp_path: Path, small: Path, name: str) -> None:
    """Also the newline at the end, and every bit of the signature."""
    for bit in altered(tmp_path / name):
        found = faults(tmp_path)
        assert found, f"bit {bit}"
        assert any(fault.startswith(name) for fault in found) or name == "ledger.jsonl"
    assert faults(tmp_path) == []


@pytest.mark.parametrize("name", FILES)
def test_a_bit_of_each_byte_of_any_file_is_named_in_the_archive(tmp_path: Path, seal_run: Seal, name: str) -> None:
    """With the ledger at hand: one fault, and it names the file."""
    seal_run(1)
    path = seal_run(2) / name
    for bit in altered(path, step=8 * 11 + 3 if path.stat().st_size > 200 else 9):
        found = verify_run(tmp_path, path.parents[name.count("/")]).faults
        assert [fault.where for fault in found] == [path.relative_to(tmp_path).as_posix()], f"bit {bit}"


def rewritten(root: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change the lines of the ledger, and chain them anew so that only the signed head can tell."""
    path, previous, lines = root / "ledger.jsonl", GENESIS, []
    for seq, line in enumerate(change(path.read_bytes().splitlines())):
        entry = {**json.loads(line), "seq": seq, "prev_sha256": previous}
        entry["body_sha256"] = sha256(canonical(entry["body"]))
        lines.append(canonical(entry))
        previous = sha256(lines[-1])
    path.write_bytes(b"".join(line + b"\n" for line in lines))


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [*lines[:3], lines[2], *lines[3:]],
        lambda lines: [*lines, lines[-1]],
        lambda lines: lines[:-1],
        lambda lines: [lines[0].replace(b'"who":"ana"', b'"who":"eve"'), *lines[1:]],
        lambda lines: [],
    ],
    ids=["cut out", "swapped", "repeated", "repeated at the end", "tail cut", "edited", "emptied"],
)
def test_a_ledger_that_was_rewritten_whole_is_not_what_was_signed(
    tmp_path: Path, seal_run: Seal, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    """Although its chain holds: an attacker can compute digests too."""
    for number in range(4):
        seal_run(number)
    rewritten(tmp_path, change)
    found = faults(tmp_path)
    assert any(fault.startswith((HEAD, "ledger.jsonl", "records/")) for fault in found), found


@pytest.mark.parametrize(
    ("kind", "run_id", "body"),
    [
        (EntryKind.TOMBSTONE, "01KDVH35M0040G2081040G2081", {}),
        (EntryKind.RESULT, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", {"files": []}),
        (EntryKind.RESULT, "01KDVH35M0040G2081040G2081", {"files": 5}),
        (EntryKind.INTENT, "../../etc", {}),
        (EntryKind.INTENT, "01KDVH35M0040G2081040G2081", {"runbook": 5}),
    ],
)
def test_an_entry_that_is_not_as_its_kind_should_be_is_named(
    tmp_path: Path, keys: Keys, seal_run: Seal, kind: EntryKind, run_id: str, body: dict[str, object]
) -> None:
    """Also where it was signed for: it is a fault by its number, and the rest is verified all the same."""
    seal_run(3)
    Ledger(tmp_path, keys).append(kind, at=AT, who="eve", run_id=run_id, body=body)
    assert [fault.split(" ")[:3] for fault in faults(tmp_path)] == [["ledger.jsonl", "entry", "2"]]
    assert verify_run(tmp_path, seal_run(4)).faults == ()


def test_the_place_of_an_edit_is_named_as_closely_as_proofs_tell(tmp_path: Path, seal_run: Seal) -> None:
    """Between the last head that fits and the first that does not."""
    for number in range(6):
        seal_run(number)
    rewritten(tmp_path, lambda lines: [*lines[:6], lines[6].replace(b'"ana"', b'"eve"'), *lines[7:]])
    assert "ledger.jsonl entries 6 to 7: what stands there is not what was signed" in faults(tmp_path)


def test_swapped_records_proofs_and_an_old_head_are_named(tmp_path: Path, seal_run: Seal) -> None:
    """What is true elsewhere is not true here."""
    first = seal_run(1)
    old = (tmp_path / HEAD).read_bytes()
    second = seal_run(2)
    new = (tmp_path / HEAD).read_bytes()
    (tmp_path / HEAD).write_bytes(old)
    assert f"{second.relative_to(tmp_path)} is a record that the ledger does not know" in faults(tmp_path)
    (tmp_path / HEAD).unlink()
    assert f"{HEAD} is missing" in faults(tmp_path)
    (tmp_path / HEAD).write_bytes(new)
    proofs = [folder / "proof.json" for folder in (first, second)]
    contents = [proof.read_bytes() for proof in proofs]
    for proof, content in zip(proofs, reversed(contents), strict=True):
        proof.write_bytes(content)
    assert all("does not hold the entries of this record" in fault for fault in faults(tmp_path))
    for proof, content in zip(proofs, contents, strict=True):
        proof.write_bytes(content)
    assert faults(tmp_path) == []
    first.rename(aside := tmp_path / "aside")
    second.rename(first)
    aside.rename(second)
    assert len(faults(tmp_path)) >= 4


def test_a_record_cannot_hide_in_staging_or_behind_a_link(tmp_path: Path, seal_run: Seal) -> None:
    """What has a result is looked at wherever it is."""
    folder = seal_run(1)
    staged = tmp_path / "staging" / folder.name
    folder.rename(staged)
    (staged / "report.html").write_text("other")
    assert faults(tmp_path) == [f"staging/{folder.name}/report.html was changed"]
    (staged / "report.html").write_text("<!doctype html>")
    staged.rename(outside := tmp_path.with_name(f"{tmp_path.name}-outside"))
    folder.symlink_to(outside)
    assert any(fault.startswith(folder.relative_to(tmp_path).as_posix()) for fault in faults(tmp_path))
    folder.unlink()
    outside.rename(folder)
    (folder / "attachments").rename(outside)
    (folder / "attachments").symlink_to(outside)
    assert faults(tmp_path) == [f"{folder.relative_to(tmp_path)}/attachments was added"]


def test_a_kept_head_tells_of_a_cut_tail_and_of_an_old_archive(tmp_path: Path, seal_run: Seal) -> None:
    """Against a reader who kept the head, putting back all of an old archive does not help."""
    seal_run(1)
    shutil.copytree(tmp_path, old := tmp_path.with_name(f"{tmp_path.name}-old"))
    seal_run(2)
    kept = Heads(tmp_path).read()
    assert kept is not None
    trust = Trust(kept={"kept.head": kept})
    seal_run(3)
    assert faults(tmp_path, trust) == []
    assert faults(old) == []
    assert faults(old, trust) == ["kept.head covers 4 entries, and the ledger has 2: its end was cut off"]


def test_a_kept_head_of_another_ledger_is_not_taken_for_this_one(
    tmp_path: Path, keys: Keys, seal_run: Seal
) -> None:  # fmt: skip
    """Each ledger has a name of its own, and its signatures count for it alone."""
    seal_run(1)
    kept = Heads(tmp_path).read()
    assert kept is not None
    other = tmp_path / "other"
    other.mkdir()
    shutil.copytree(tmp_path / "records", other / "records")
    Ledger(other, keys).append(EntryKind.INTENT, at=AT + timedelta(days=1), who="ben", body={})
    found = faults(other, Trust(kept={"kept.head": kept}))
    assert any(fault.startswith("kept.head is not signed by a key that counts") for fault in found)


def test_an_unfinished_line_at_the_end_is_said_and_is_no_fault(tmp_path: Path, seal_run: Seal) -> None:
    """It was never acknowledged."""
    seal_run(1)
    with (tmp_path / "ledger.jsonl").open("ab") as ledger:
        ledger.write(b'{"at":"2026')
    found = verify_archive(tmp_path)
    assert found.faults == ()
    assert any("unfinished line" in note for note in found.notes)


def test_clean_verifications_never_alarm(tmp_path: Path, keys: Keys, seal_run: Seal) -> None:
    """Of a growing archive, in each of the three ways, by both implementations."""
    for number in range(25):
        folder = seal_run(number)
        public = read_keys([str(tmp_path / PUBLIC)])
        assert verify_archive(tmp_path, Trust(own=keys)).faults == ()
        for record in Records(tmp_path).newest_first():
            assert verify_folder(record, public).faults == ()
        assert verify_run(tmp_path, folder, Trust(given=public)).faults == ()
        assert faults_of(folder, keys_of((tmp_path / PUBLIC).read_text())) == []


def test_the_single_file_verifier_agrees_on_sampled_bits(tmp_path: Path, seal_run: Seal) -> None:
    """Written apart, it says the same of the same folder."""
    seal_run(1)
    folder = seal_run(2)
    ours = read_keys([str(tmp_path / PUBLIC)])
    theirs = keys_of((tmp_path / PUBLIC).read_text())
    chance = random.Random(20260101)
    for name in FILES:
        path = folder / name
        original = path.read_bytes()
        for bit in chance.sample(range(len(original) * 8), min(len(original) * 8, 600)):
            content = bytearray(original)
            content[bit // 8] ^= 1 << bit % 8
            path.write_bytes(content)
            assert verify_folder(folder, ours).faults, f"{name} bit {bit}"
            assert faults_of(folder, theirs), f"{name} bit {bit}"
        path.write_bytes(original)
    assert not faults_of(folder, theirs)
