"""Somebody with a text editor: ways to change an archive that its verification must notice."""

import json
import random
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ops_lib.archive.evidence import verify_folder
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import Records
from ops_lib.archive.verification import Trust, verify_archive, verify_run
from ops_lib.model.ledger import GENESIS, canonical, sha256
from tests.crash import medium, story

Attack = Callable[[Path, random.Random], None]


def grow(root: Path, numbers: Iterable[int]) -> Path:
    """Seal some more runs in the archive below a root that holds its keys too."""
    archive, promises = story.archive_in(root), story.Promises(root / "promises")
    for number in numbers:
        story.run(story.desk(archive, number), promises, number)
    return archive


def folders(archive: Path) -> list[Path]:
    """The record folders, the oldest first."""
    return sorted(Records(archive).newest_first(), key=lambda folder: folder.name)


def trust_of(archive: Path) -> Trust:
    """What a reviewer brings along: the public key, and the head as it was when the archive was looked at last."""
    heads = Ledger(archive).heads
    head = heads.read()
    assert head is not None
    return Trust(given=heads.public(), kept={"the head that was kept": head})


def unseen(archive: str, name: str, bits: Iterable[int]) -> list[int]:
    """The bits of a file whose change nobody noticed. Works on a copy, so that several can do it at once.

    A file of a record is verified with its archive and once more as a folder by itself.
    """
    with medium.scratch_folder() as scratch:
        medium.fresh(Path(archive), scratch / "outputs")
        root, path = scratch / "outputs", scratch / "outputs" / name
        trust, original = trust_of(root), path.read_bytes()
        assert not _noticed(root, path, original, trust), "there is an alarm before anything was changed"
        return [bit for bit in bits if not _noticed(root, path, flipped(original, bit), trust)]


def alarms(archive: str, times: int) -> int:
    """How many of some verifications of an archive that nobody touched raise an alarm."""
    trust = trust_of(Path(archive))
    return sum(bool(verify_archive(Path(archive), trust).faults) for _ in range(times))


def flipped(content: bytes, bit: int) -> bytes:
    """The content with one bit changed."""
    altered = bytearray(content)
    altered[bit // 8] ^= 1 << bit % 8
    return bytes(altered)


def _noticed(root: Path, path: Path, content: bytes, trust: Trust) -> bool:
    path.write_bytes(content)
    if not path.is_relative_to(root / "records"):
        return bool(verify_archive(root, trust).faults)
    folder = root / Path(*path.relative_to(root).parts[:5])
    inside, alone = verify_run(root, folder, trust).faults, verify_folder(folder, trust.given).faults
    return bool(inside and alone)


def unseen_attacks(roots: tuple[str, str], name: str, seeds: Iterable[int]) -> list[int]:
    """The seeds with which an attack on an archive stayed unseen. `roots` are the archive and an older state of it."""
    archive, older = (Path(root) for root in roots)
    trust = trust_of(archive)
    with medium.scratch_folder() as scratch:
        target = scratch / "outputs"
        medium.fresh(archive, target)
        assert not verify_archive(target, trust).faults, "there is an alarm before anything was changed"
        return [seed for seed in seeds if not _attack_noticed(archive, older, target, name, seed, trust)]


def _attack_noticed(archive: Path, older: Path, target: Path, name: str, seed: int, trust: Trust) -> bool:
    chance = random.Random(seed)
    medium.fresh(archive, target)
    before = _state(target)
    while _state(target) == before:  # an attack that changed nothing, such as a swap of equal files, is made again
        if name == "roll back":
            medium.fresh(older, target)
        else:
            ATTACKS[name](target, chance)
    return bool(verify_archive(target, trust).faults)


def _state(root: Path) -> dict[str, bytes]:
    kept = {"records", "head", "key.vkey", "ledger.jsonl"}
    found = (path for path in root.rglob("*") if path.is_file() and path.relative_to(root).parts[0] in kept)
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def _file(archive: Path, chance: random.Random) -> Path:
    return chance.choice(sorted(path for path in (archive / "records").rglob("*") if path.is_file()))


def _lines(archive: Path) -> list[bytes]:
    return (archive / "ledger.jsonl").read_bytes().splitlines(keepends=True)


def _write_lines(archive: Path, lines: list[bytes]) -> None:
    (archive / "ledger.jsonl").write_bytes(b"".join(lines))


def remove_record(archive: Path, chance: random.Random) -> None:
    shutil.rmtree(chance.choice(folders(archive)))


def remove_file(archive: Path, chance: random.Random) -> None:
    _file(archive, chance).unlink()


def add_file(archive: Path, chance: random.Random) -> None:
    (chance.choice(folders(archive)) / f"added-{chance.randrange(9)}.txt").write_text("hello")


def add_record(archive: Path, chance: random.Random) -> None:
    source = chance.choice(folders(archive))
    shutil.copytree(source, source.with_name(f"{source.name[:-4]}{chance.randrange(1000, 9999)}"))


def swap_files(archive: Path, chance: random.Random) -> None:
    first, second = chance.sample(folders(archive), 2)
    name = chance.choice(["record.json", "proof.json", "journal.jsonl", "report.html"])
    ours, theirs = (first / name).read_bytes(), (second / name).read_bytes()
    (first / name).write_bytes(theirs)
    (second / name).write_bytes(ours)


def swap_records(archive: Path, chance: random.Random) -> None:
    first, second = chance.sample(folders(archive), 2)
    aside = first.with_name("aside")
    first.rename(aside)
    second.rename(first)
    aside.rename(second)


def cut_file(archive: Path, chance: random.Random) -> None:
    path = _file(archive, chance)
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content))])


def reorder_entries(archive: Path, chance: random.Random) -> None:
    lines = _lines(archive)
    first, second = chance.sample(range(len(lines)), 2)
    lines[first], lines[second] = lines[second], lines[first]
    _write_lines(archive, lines)


def remove_entry(archive: Path, chance: random.Random) -> None:
    lines = _lines(archive)
    del lines[chance.randrange(len(lines))]
    _write_lines(archive, lines)


def repeat_entry(archive: Path, chance: random.Random) -> None:
    lines = _lines(archive)
    place = chance.randrange(len(lines))
    _write_lines(archive, [*lines[: place + 1], *lines[place:]])


def cut_ledger(archive: Path, chance: random.Random) -> None:
    content = (archive / "ledger.jsonl").read_bytes()
    (archive / "ledger.jsonl").write_bytes(content[: chance.randrange(len(content))])


def cut_last_run(archive: Path, chance: random.Random) -> None:
    """The last run vanishes with its entries, and head and keys of an older proof are put in their places."""
    *rest, last = folders(archive)
    run = last.name.encode()
    shutil.rmtree(last)
    _write_lines(archive, [line for line in _lines(archive) if run not in line])
    proof = json.loads((chance.choice(rest) / "proof.json").read_bytes())
    head = next(value for value in proof.values() if isinstance(value, str) and value.startswith("ops-runbooks/"))
    (archive / "head").write_text(head)


def rewrite_chain(archive: Path, chance: random.Random) -> None:
    """One entry says something else, and every digest after it is made to fit."""
    lines = _lines(archive)
    place, previous = chance.randrange(len(lines)), None
    for number, line in enumerate(lines):
        entry = json.loads(line)
        if number == place:
            entry["who"] = "somebody else"
        entry["prev_sha256"] = sha256(previous) if previous is not None else GENESIS
        previous = canonical(entry)
        lines[number] = previous + b"\n"
    _write_lines(archive, lines)


def link_outside(archive: Path, chance: random.Random) -> None:
    path = _file(archive, chance)
    outside = archive.parent / "outside"
    outside.unlink(missing_ok=True)
    path.rename(outside)
    path.symlink_to(outside)


def remove_head(archive: Path, chance: random.Random) -> None:
    (archive / "head").unlink()


def roll_back(archive: Path, chance: random.Random) -> None:
    raise AssertionError("an older archive is put in place of this one")


ATTACKS: Mapping[str, Attack] = {
    attack.__name__.replace("_", " "): attack
    for attack in (
        remove_record, remove_file, add_file, add_record, swap_files, swap_records, cut_file, reorder_entries,
        remove_entry, repeat_entry, cut_ledger, cut_last_run, rewrite_chain, link_outside, remove_head, roll_back,
    )
}  # fmt: skip
