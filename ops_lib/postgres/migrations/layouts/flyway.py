"""Flyway: `V1.2__desc.sql` once, `U1.2__desc.sql` to undo it, `R__desc.sql` whenever it changed; in subfolders too.

Versions are numbers between dots or underscores: 1.10 comes after 1.9, and 1_2 is 1.2 and 1.2.0. A repeated one has no
version; here it is called `R__` and its description. Placeholders, callbacks and baseline migrations are refused: what
they would do depends on settings that are not in these files.
"""

import re
import zlib
from pathlib import Path

from ops_lib.model.errors import BadInput
from ops_lib.model.migration import Folder, Layout, Migration, Script
from ops_lib.postgres.migrations.layouts import text

NAME = re.compile(r"([VUB])(\d+(?:[._]\d+)*)(?:__(.*))?\.sql|(R)__(.+)\.sql")
_PLACEHOLDER = re.compile(r"\$\{[^}]*\}")
Place = tuple[int, ...]


def read(folder: Path) -> Folder:
    """All migrations of a folder and of the folders in it: versions in order, then the repeated ones by description."""
    files = [(file, _named(file)) for file in sorted(folder.rglob("[!.]*.sql"))]
    undo = _undo(files)
    versioned = [_versioned(file, name, undo) for file, name in files if name[1] == "V"]
    versioned.sort(key=lambda each: place(each.version))
    if undo:
        raise BadInput(f"{min(undo.values())} undoes no migration", hint="there is no V file of this version")
    repeated = sorted((_repeated(file, name) for file, name in files if name[4]), key=lambda each: each.description)
    return Folder(path=folder, layout=Layout.FLYWAY, migrations=(*versioned, *repeated))


def place(version: str) -> Place:
    """Where a version stands in the order; equal for those that Flyway takes for one.

    >>> place("1.10") > place("1.9"), place("1.2.0") == place("1_2") == place("01.2")
    (True, True)
    """
    parts = [int(part) for part in re.split(r"[._]", version)]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def checksum(written: str) -> int:
    """What Flyway keeps of a file: CRC32 of its lines without their ends, as a signed number of 32 bits.

    >>> checksum("a\\r\\nb\\n") == checksum("ab"), checksum("")
    (True, 0)
    """
    unsigned = zlib.crc32(written.replace("\r", "").replace("\n", "").encode())
    return unsigned - (1 << 32) if unsigned >= 1 << 31 else unsigned


def _named(file: Path) -> re.Match[str]:
    name = NAME.fullmatch(file.name)
    if name is None:
        hint = "V1.2__desc.sql, U1.2__desc.sql or R__desc.sql; callbacks are not run here"
        raise BadInput(f"{file} is not named as a migration is", hint=hint)
    if name[1] == "B":
        hint = "a database that has it needs no file; a new one is made by the V files"
        raise BadInput(f"{file} is a baseline migration, which is not understood", hint=hint)
    return name


def _undo(files: list[tuple[Path, re.Match[str]]]) -> dict[Place, Path]:
    found: dict[Place, Path] = {}
    for file, name in files:
        if name[1] == "U":
            other = found.setdefault(place(name[2]), file)
            if other != file:
                raise BadInput(f"{other.name} and {file.name} undo one version", hint="keep one of them")
    return found


def _versioned(file: Path, name: re.Match[str], undo: dict[Place, Path]) -> Migration:
    up = script(file)
    back = undo.pop(place(name[2]), None)
    return Migration(
        version=name[2].replace("_", "."),
        description=text.words(name[3] or ""),
        up=up,
        down=script(back) if back else None,
        checksum=str(checksum(up.text)),
    )


def _repeated(file: Path, name: re.Match[str]) -> Migration:
    up = script(file)
    description = text.words(name[5])
    version = f"R__{description}"
    return Migration(version=version, description=description, up=up, repeated=True, checksum=str(checksum(up.text)))


def script(file: Path) -> Script:
    """A file with what is said of it beside it."""
    written = text.read(file)
    settings = _settings(file.with_name(f"{file.name}.conf"))
    replaced = _PLACEHOLDER.search(written) if settings.get("placeholderreplacement") != "false" else None
    if replaced:
        line = written.count("\n", 0, replaced.start()) + 1
        hint = "write the value into the file, or say placeholderReplacement=false in its .conf"
        raise BadInput(f"{file}, line {line}: the placeholder {replaced[0]} is not put in", hint=hint)
    return Script(file=file, text=written, transaction=settings.get("executeintransaction") != "false")


def _settings(file: Path) -> dict[str, str]:
    """What the file beside a script says of it, keys and values in lower case."""
    if not file.is_file():
        return {}
    pairs = (line.partition("=") for line in text.read(file).lower().splitlines() if not line.lstrip().startswith("#"))
    settings = {key.strip(): value.strip() for key, _, value in pairs}
    if "shouldexecute" in settings:
        raise BadInput(f"{file}: shouldExecute is not understood", hint="leave the file out where it is not to run")
    return settings
