"""Plain SQL files, as the handbook writes them and as `psql -f` runs them.

    YYYYMMDDHHMM_description.sql           once, in the order of their numbers; seconds may follow
    YYYYMMDDHHMM_description.revert.sql    the way back, where there is one
    YYYYMMDDHHMM_description.verify.sql    what must be true afterwards, where there is one
    ../functions/*.sql  ../views/*.sql     after them and whenever they changed, by their names

The comment at the top may say Migration, Author, Date, `Breaking: yes|no`, `Affects: a, b`, `Notify: etl, research`
`Transaction: no` and `Batches: yes`, in any order and in any case. What else stands there is a comment.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ops_lib.model.errors import BadInput
from ops_lib.model.migration import Folder, Header, Layout, Migration, Script
from ops_lib.postgres.migrations.layouts import text

_NAME = re.compile(r"(\d{14}|\d{12})_([A-Za-z0-9_-]+)")
_KINDS = {"": "up", ".revert": "down", ".verify": "verify"}
_REPEATED = ("functions", "views")
_LINE = re.compile(r"--\s*(\w+)\s*:\s*(.*?)\s*")
_YES = {"yes": True, "true": True, "no": False, "false": False}
_HINT = "YYYYMMDDHHMM_description.sql, .revert.sql and .verify.sql; letters, digits, _ and - only"


def read(folder: Path) -> Folder:
    """The numbered files of a folder, and none beside it."""
    kept: dict[str, dict[str, Path]] = {}
    for file in sorted(folder.glob("[!.]*.sql")):
        name, kind = _parted(file)
        kept.setdefault(name, {})[kind] = file
    migrations = [_migration(name, files) for name, files in kept.items()]
    migrations.sort(key=lambda each: (each.version.ljust(14, "0"), each.name))
    return Folder(path=folder, layout=Layout.PLAIN, migrations=tuple(migrations))


def repeated(parent: Path) -> tuple[Migration, ...]:
    """Functions and views that lie beside the folder of the numbered files."""
    files = [file for kind in _REPEATED for file in sorted((parent / kind).glob("[!.]*.sql"))]
    return tuple(_repeated(file) for file in files)


def _parted(file: Path) -> tuple[str, str]:
    """The name that a migration shares with its way back and its proof, and which of them this is."""
    stem, dot, kind = file.name.removesuffix(".sql").partition(".")
    if _NAME.fullmatch(stem) is None or dot + kind not in _KINDS:
        raise BadInput(f"{file} is not named as a migration is", hint=_HINT)
    return stem, _KINDS[dot + kind]


def _migration(name: str, files: Mapping[str, Path]) -> Migration:
    if "up" not in files:
        (other, *_) = files.values()
        raise BadInput(f"{other} belongs to no migration", hint=f"there is no {name}.sql beside it")
    version, description = name.split("_", 1)
    scripts = {kind: script(file) for kind, file in files.items()}
    header, up = scripts["up"]
    return Migration(
        version=version,
        description=text.words(description),
        up=up,
        down=scripts["down"][1] if "down" in scripts else None,
        verify=scripts["verify"][1] if "verify" in scripts else None,
        checksum=_sha256(up.text),
        header=header,
    )


def _repeated(file: Path) -> Migration:
    version = f"{file.parent.name}/{file.stem}"
    header, up = script(file)
    return Migration(
        version=version, description=version, up=up, repeated=True, checksum=_sha256(up.text), header=header
    )


def script(file: Path) -> tuple[Header, Script]:
    """What the top of a file says, and the whole file."""
    written = text.read(file)
    said = dict(_said(file, written))
    transaction, batches = said.pop("transaction", True), said.pop("batches", False)
    return Header(**said), Script(file=file, text=written, transaction=transaction, batches=batches)


def _said(file: Path, written: str) -> Iterator[tuple[str, Any]]:
    """What the comment at the top says, by the names of the fields of a header."""
    for number, line in enumerate(written.splitlines(), start=1):
        if line.strip() and not line.startswith("--"):
            return
        match = _LINE.fullmatch(line)
        if match and (known := _KEYS.get(match[1].lower())):
            field, understood = known
            try:
                yield field, understood(match[2])
            except KeyError:
                raise BadInput(f"{file}, line {number}: {match[1]} is yes or no, not {match[2]!r}") from None


def _names(value: str) -> tuple[str, ...]:
    return tuple(name for part in value.split(",") if (name := part.strip()))


def _yes(value: str) -> bool:
    return _YES[value.lower()]


def _sha256(written: str) -> str:
    return hashlib.sha256(written.encode()).hexdigest()


_KEYS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "migration": ("title", str),
    "author": ("author", str),
    "date": ("date", str),
    "breaking": ("breaking", _yes),
    "affects": ("affects", _names),
    "notify": ("notify", _names),
    "transaction": ("transaction", _yes),
    "batches": ("batches", _yes),
}
