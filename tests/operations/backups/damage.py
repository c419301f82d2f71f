"""Damage to backups: what befalls their files, and what was wrong when they were made.

A damage of the second sort is `resealed`: digests and signature fit, as they would where PostgreSQL's program had read
it so. Only restoring finds it.
"""

import gzip
import hashlib
import json
import os
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ops_lib.archive.backup_files import describe
from ops_lib.archive.repository import CONTENT, MANIFEST, SIGNATURE, SIGNER
from ops_lib.model.backup import Backup, Manifest
from ops_lib.model.ledger import canonical
from ops_lib.model.wal import number, position
from ops_lib.operations.backups.shelf import Shelf

PAGE, HEADER, SEGMENT = 8192, 24, 16 << 20


@dataclass(kw_only=True)
class Scene:
    """A copy of a repository that may be damaged: the backup in question, and one like it of another cluster."""

    shelf: Shelf
    folder: Path
    stranger: Path
    chance: random.Random
    index: str
    wal: Path
    parent: Path | None = None
    asked: str | None = None

    @property
    def content(self) -> Path:
        return self.folder / CONTENT

    def manifest(self) -> Manifest:
        return Manifest.from_json(json.loads((self.folder / MANIFEST).read_bytes()))

    def some_file(self, pattern: str = "**/*", *, least: int = 1) -> Path:
        """A file of the backup, chosen by chance."""
        found = [p for p in sorted(self.content.glob(pattern)) if p.is_file() and p.stat().st_size >= least]
        return self.chance.choice(found)


def scene_of(shelf: Shelf, backup: Backup) -> Scene:
    """One backup alone, to be damaged where it stands."""
    folder = shelf.repository.folder(backup)
    return Scene(shelf=shelf, folder=folder, stranger=folder, chance=random.Random(0), index="", wal=folder)


def clone(source: Path, to: Path) -> None:
    """The same tree by links; what is damaged is written anew, and the original stays."""
    shutil.copytree(source, to, copy_function=os.link)


def rewrite(path: Path, content: bytes) -> None:
    """Put other bytes under a name, without touching the file that other trees share."""
    path.unlink()
    path.write_bytes(content)


def flipped(content: bytes, at: int, bit: int) -> bytes:
    """The same bytes with one bit changed."""
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def reseal(scene: Scene, **changes: object) -> None:
    """Make digests and signature fit what the files are now."""
    manifest = replace(scene.manifest(), files=describe(scene.content, ()), **changes)
    text = canonical(manifest.to_json())
    rewrite(scene.folder / MANIFEST, text)
    rewrite(scene.folder / SIGNATURE, scene.shelf.repository._keys.sign_text(SIGNER, text).encode())


def reseal_pages(scene: Scene, path: Path) -> None:
    """Make PostgreSQL's own manifest fit a file of the copy too."""
    data = scene.content / "data"
    for own in (data / "backup_manifest", scene.content / "backup_manifest"):
        name = re.escape(path.relative_to(data).as_posix())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        text = re.sub(rf'("Path": "{name}",.*?"Checksum": ")[0-9a-f]+', rf"\g<1>{digest}", own.read_text())
        body, _, _ = text.rpartition('"Manifest-Checksum"')
        end = f'"Manifest-Checksum": "{hashlib.sha256(body.encode()).hexdigest()}"}}\n'
        rewrite(own, (body + end).encode())


# -- what befalls files -----------------------------------------------------------------------------------------------


def bit_flip(scene: Scene) -> None:
    path = scene.some_file()
    content = path.read_bytes()
    rewrite(path, flipped(content, scene.chance.randrange(len(content)), scene.chance.randrange(8)))


def truncation(scene: Scene) -> None:
    path = scene.some_file()
    content = path.read_bytes()
    rewrite(path, content[: scene.chance.randrange(len(content))])


def missing_file(scene: Scene) -> None:
    scene.some_file(least=0).unlink()


def strange_file(scene: Scene) -> None:
    (scene.some_file().parent / "strange").write_bytes(b"x")


def another_clusters_file(scene: Scene) -> None:
    """A file of the same name from another cluster, where it differs."""
    while True:
        path = scene.some_file()
        other = scene.stranger / CONTENT / path.relative_to(scene.content)
        if other.is_file() and other.read_bytes() != path.read_bytes():
            return rewrite(path, other.read_bytes())


def missing_segment(scene: Scene) -> None:
    scene.some_file("**/pg_wal/0000*").unlink()


def flipped_manifest(scene: Scene) -> None:
    content = (scene.folder / MANIFEST).read_bytes()
    rewrite(scene.folder / MANIFEST, flipped(content, scene.chance.randrange(len(content)), scene.chance.randrange(8)))


def cut_manifest(scene: Scene) -> None:
    content = (scene.folder / MANIFEST).read_bytes()
    rewrite(scene.folder / MANIFEST, content[: scene.chance.randrange(len(content))])


def missing_manifest(scene: Scene) -> None:
    (scene.folder / MANIFEST).unlink()


def another_clusters_manifest(scene: Scene) -> None:
    for name in (MANIFEST, SIGNATURE):
        rewrite(scene.folder / name, (scene.stranger / name).read_bytes())


def forged_manifest(scene: Scene) -> None:
    """Digests that fit, by somebody who has not the key."""
    signature = (scene.folder / SIGNATURE).read_bytes()
    rewrite(scene.folder / MANIFEST, canonical(replace(scene.manifest(), target="another").to_json()))
    rewrite(scene.folder / SIGNATURE, signature)
    scene.folder = scene.folder.rename(scene.folder.with_name(scene.manifest().folder_name))


def another_clusters_backup(scene: Scene) -> None:
    scene.asked, scene.folder = scene.manifest().source.system_identifier, scene.stranger


def missing_parent(scene: Scene) -> None:
    shutil.rmtree(scene.parent)


def damaged_parent(scene: Scene) -> None:
    path = next((scene.parent / CONTENT / "data/global").glob("pg_control"))
    rewrite(path, flipped(path.read_bytes(), 100, 3))


def _needed(scene: Scene) -> list[Path]:
    """The segments that carry the backup on; those before it may go."""
    first = position(scene.manifest().saved.wal.start) // SEGMENT
    names = sorted(path for path in scene.wal.iterdir() if len(path.name) == 24)
    return [path for path in names if number(path.name, SEGMENT) >= first]


def gap_in_the_archive(scene: Scene) -> None:
    scene.chance.choice(_needed(scene)[:-1]).unlink()


def cut_segment(scene: Scene) -> None:
    path = scene.chance.choice(_needed(scene))
    rewrite(path, path.read_bytes()[: scene.chance.randrange(1 << 24)])


def flipped_segment(scene: Scene) -> None:
    """A record of the archive that cannot be replayed: what comes after it would be lost in silence."""
    path = scene.chance.choice(_needed(scene)[1:-1])
    content = path.read_bytes()
    rewrite(path, flipped(content, 0x28 + scene.chance.randrange(16), 0))


# -- what was wrong when it was made ----------------------------------------------------------------------------------


def _table(scene: Scene, marker: bytes) -> Path:
    files = sorted((scene.content / "dump").glob("*.dat*"))
    return next(path for path in files if marker in gzip.decompress(path.read_bytes()))


def flipped_rows(scene: Scene) -> None:
    path = scene.some_file("dump/*.dat.gz", least=200)
    content = path.read_bytes()
    rewrite(path, flipped(content, scene.chance.randrange(20, len(content) - 8), scene.chance.randrange(8)))
    reseal(scene)


def lost_rows(scene: Scene) -> None:
    path = _table(scene, b"\tteam 7\n")
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    at = scene.chance.randrange(0, 3)  # of teams that a game needs, restoring finds it first
    rewrite(path, gzip.compress(b"".join(lines[:40][: 40 - at - 1] + lines[40:])))
    reseal(scene)


def lost_games(scene: Scene) -> None:
    path = _table(scene, b"2026-01-01")
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    lines.pop(scene.chance.randrange(5000))
    rewrite(path, gzip.compress(b"".join(lines)))
    reseal(scene)


def changed_value(scene: Scene) -> None:
    path = _table(scene, b"2026-01-01")
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    at = scene.chance.randrange(5000)
    lines[at] = lines[at].replace(b"2026-01", b"2026-02")
    rewrite(path, gzip.compress(b"".join(lines)))
    reseal(scene)


def older_sequence(scene: Scene) -> None:
    path = scene.content / "dump/toc.dat"
    value = b"%04d" % scene.chance.randrange(1000, 4999)
    rewrite(path, re.sub(rb"(setval\('public.game_id_seq', )5000", rb"\g<1>" + value, path.read_bytes()))
    reseal(scene)


def dump_of_another_version(scene: Scene) -> None:
    path = scene.content / "dump/toc.dat"
    content = path.read_bytes()
    rewrite(path, content[:6] + bytes([scene.chance.randrange(30, 200)]) + content[7:])
    reseal(scene)


def missing_table(scene: Scene) -> None:
    _table(scene, b"2026-01-01").unlink()
    reseal(scene)


def files_of_another_version(scene: Scene) -> None:
    rewrite(scene.content / "data/PG_VERSION", b"%d\n" % scene.chance.choice([14, 15, 16, 17, 19]))
    reseal(scene)


def flipped_page(scene: Scene) -> None:
    path = scene.some_file("data/base/*/[0-9]*", least=PAGE)
    content = path.read_bytes()
    rewrite(path, flipped(content, scene.chance.randrange(len(content)), scene.chance.randrange(8)))
    reseal(scene)


def copied_without_its_wal(scene: Scene) -> None:
    for path in (scene.content / "data/pg_wal").glob("0000*"):
        path.unlink()
    reseal(scene)


def control_file_of_another_cluster(scene: Scene) -> None:
    path = scene.content / "data/global/pg_control"
    rewrite(path, (scene.stranger / CONTENT / "data/global/pg_control").read_bytes())
    reseal_pages(scene, path)
    reseal(scene)


def corrupt_index(scene: Scene) -> None:
    """A bit of a key of an index is another one, as a bad disk or a bug would leave it; all digests fit."""
    path = scene.content / "data" / scene.index
    content = path.read_bytes()
    page = scene.chance.randrange(4, len(content) // PAGE - 1)
    start = page * PAGE
    special = int.from_bytes(content[start + 16 : start + 18], "little")
    assert int.from_bytes(content[start + special + 12 : start + special + 14], "little") & 1, "no leaf"
    items = (int.from_bytes(content[start + 12 : start + 14], "little") - HEADER) // 4
    slot = start + HEADER + 4 * scene.chance.randrange(1, items)
    item = int.from_bytes(content[slot : slot + 4], "little") & 0x7FFF
    at = start + item + 8 + scene.chance.randrange(8)
    rewrite(path, flipped(content, at, scene.chance.randrange(8)))
    reseal_pages(scene, path)
    reseal(scene)


Damage = Callable[[Scene], None]
LOGICAL, PHYSICAL, INCREMENTAL, ARCHIVED = "logical", "physical", "incremental", "archived"
ANY = (LOGICAL, PHYSICAL, INCREMENTAL)
BEFALLEN: dict[Damage, tuple[tuple[str, ...], set[str]]] = {
    bit_flip: (ANY, {"files"}),
    truncation: (ANY, {"files"}),
    missing_file: (ANY, {"files"}),
    strange_file: (ANY, {"files"}),
    another_clusters_file: ((LOGICAL, PHYSICAL), {"files"}),
    missing_segment: ((PHYSICAL, INCREMENTAL), {"files"}),
    flipped_manifest: (ANY, {"manifest", "signature"}),
    cut_manifest: (ANY, {"manifest"}),
    missing_manifest: (ANY, {"manifest"}),
    another_clusters_manifest: ((LOGICAL, PHYSICAL), {"manifest"}),
    forged_manifest: (ANY, {"signature"}),
    another_clusters_backup: ((LOGICAL, PHYSICAL), {"cluster"}),
    missing_parent: ((INCREMENTAL,), {"chain"}),
    damaged_parent: ((INCREMENTAL,), {"files"}),
}
"""What befalls a backup that was well, to which kinds, and which checks may be the one that catches it."""
MADE_SO: dict[Damage, tuple[tuple[str, ...], set[str]]] = {
    flipped_rows: ((LOGICAL,), {"restore", "counts", "digests"}),
    lost_rows: ((LOGICAL,), {"restore", "counts"}),
    lost_games: ((LOGICAL,), {"counts"}),
    changed_value: ((LOGICAL,), {"digests"}),
    older_sequence: ((LOGICAL,), {"sequences"}),
    dump_of_another_version: ((LOGICAL,), {"restore"}),
    missing_table: ((LOGICAL,), {"restore"}),
    files_of_another_version: ((PHYSICAL, INCREMENTAL), {"version"}),
    flipped_page: ((PHYSICAL,), {"pages"}),
    copied_without_its_wal: ((PHYSICAL, INCREMENTAL), {"pages"}),
    control_file_of_another_cluster: ((PHYSICAL,), {"pages", "identity"}),
    corrupt_index: ((PHYSICAL,), {"amcheck"}),
    gap_in_the_archive: ((ARCHIVED,), {"wal"}),
    cut_segment: ((ARCHIVED,), {"wal"}),
    flipped_segment: ((ARCHIVED,), {"wal"}),
}
"""What only restoring finds, or only looking at the archive of WAL."""
